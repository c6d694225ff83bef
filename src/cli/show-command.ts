import { temporalPlace, withClient } from './connection.ts';
import { readRollout } from './rollout-now.ts';
import { describeRollout } from './rollout-text.ts';
import { findRollout, parsePrefix } from './rollouts.ts';
import type { Surroundings } from './terminal.ts';

export interface ShowOptions {
  readonly config: string;
  readonly json?: boolean;
}

/** `landfall show ROLLOUT` */
export async function show(text: string, options: ShowOptions, surroundings: Surroundings): Promise<void> {
  const prefix = parsePrefix(text);
  const place = temporalPlace(options.config, surroundings);
  const { rollout, now } = await withClient(place, async (client) => {
    const found = await findRollout(client, prefix);
    return { rollout: found, now: await readRollout(client, found) };
  });
  const { execution, state, retries } = now;
  if (options.json) return surroundings.print(JSON.stringify({ rollout, execution, ...state, retries }, null, 2));
  for (const line of describeRollout(rollout, now, surroundings)) surroundings.print(line);
}
