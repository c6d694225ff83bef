import type { Configuration, ServiceSettings } from '../config/configuration.ts';
import { describeFollowed } from '../config/plans.ts';
import type { LaneState } from '../domain/lane/state.ts';
import { readConfiguration } from './configuration.ts';
import { CommandFailure } from './failure.ts';
import type { Surroundings } from './terminal.ts';

/*
 * A hold of what does not exist would be taken, and hold nothing. So a name that no lane knows has to be one of the configuration.
 */

/** @throws CommandFailure where the configuration has no such service */
export function requireKnownService(service: string, file: string, surroundings: Pick<Surroundings, 'env' | 'kinds'>): void {
  const configuration = readConfiguration(file, surroundings);
  if (settingsOf(configuration, service).length > 0) return;
  const lines = describeFollowed(configuration).map((line) => `  ${line}`);
  const known = lines.length === 0 ? [`${file} has none yet`] : [`${file} has:`, ...lines];
  throw new CommandFailure([`there is no service '${service}'`, ...known].join('\n'));
}

/** @throws CommandFailure where neither the lane nor the configuration has such a stage */
export function requireKnownStage(
  stage: string,
  service: string,
  lane: LaneState | undefined,
  file: string,
  surroundings: Pick<Surroundings, 'env' | 'kinds'>,
): void {
  if (lane !== undefined && Object.hasOwn(lane.stages, stage)) return;
  const configured = stagesOf(service, file, surroundings);
  if (configured.includes(stage)) return;
  const known = [...new Set([...Object.keys(lane?.stages ?? {}), ...configured])];
  const stages = known.length === 0 ? 'none is known yet' : `expected one of ${known.join(', ')}`;
  throw new CommandFailure(`${service} has no stage '${stage}': ${stages}`);
}

/** Where the file cannot be used, the lane alone has to know. */
function stagesOf(service: string, file: string, surroundings: Pick<Surroundings, 'env' | 'kinds'>): string[] {
  let configuration: Configuration;
  try {
    configuration = readConfiguration(file, surroundings);
  } catch (error) {
    if (error instanceof CommandFailure) return [];
    throw error;
  }
  return settingsOf(configuration, service).flatMap(({ stages }) => stages.map(({ name }) => name));
}

/** The service of this name, or the patterns that can give it. */
function settingsOf({ services }: Configuration, service: string): ServiceSettings[] {
  const named = services.filter(({ name }) => name === service);
  return named.length > 0 ? named : services.filter(({ name }) => name.includes('*') && matches(name, service));
}

function matches(name: string, service: string): boolean {
  const [before = '', after = ''] = name.split('*');
  return service.length > before.length + after.length && service.startsWith(before) && service.endsWith(after);
}
