import { temporalPlace, withClient } from './connection.ts';
import { describeLane } from './lane-text.ts';
import { noLane, parseService, readLane, readLine } from './lanes.ts';
import type { Surroundings } from './terminal.ts';

export interface LaneOptions {
  readonly config: string;
  readonly json?: boolean;
}

/** `landfall lane SERVICE` */
export async function showLane(text: string, options: LaneOptions, surroundings: Surroundings): Promise<void> {
  const service = parseService(text);
  const [lane, line] = await withClient(temporalPlace(options.config, surroundings), (client) =>
    Promise.all([readLane(client, service), readLine(client)]),
  );
  if (lane === undefined) throw noLane(service);
  if (options.json) return surroundings.print(JSON.stringify({ service, line, ...lane }, null, 2));
  for (const row of describeLane(service, lane, line, surroundings)) surroundings.print(row);
}
