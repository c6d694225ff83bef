import type { Configuration } from '../config/configuration.ts';
import { describeFollowed } from '../config/plans.ts';
import type { ServiceSettings } from '../config/service.ts';
import type { LaneState } from '../domain/lane/state.ts';
import { InvalidConfiguration, NotFound } from './errors.ts';

/*
 * A hold of what does not exist would be taken, and hold nothing. So a name that no lane knows has to be one of the configuration.
 */

/**
 * Reads the configuration when it is needed.
 * @throws InvalidConfiguration
 */
export type ReadConfiguration = () => Configuration;

/** @throws NotFound where the configuration has no such service */
export function requireKnownService(service: string, read: ReadConfiguration): void {
  const configuration = read();
  if (settingsOf(configuration, service).length > 0) return;
  const lines = describeFollowed(configuration).map((line) => `  ${line}`);
  const known = lines.length === 0 ? [`${configuration.file} has none yet`] : [`${configuration.file} has:`, ...lines];
  throw new NotFound([`there is no service '${service}'`, ...known].join('\n'));
}

/** @throws NotFound where neither the lane nor the configuration has such a stage */
export function requireKnownStage(stage: string, service: string, lane: LaneState | undefined, read: ReadConfiguration): void {
  if (lane !== undefined && Object.hasOwn(lane.stages, stage)) return;
  const configured = stagesOf(service, read);
  if (configured.includes(stage)) return;
  const known = [...new Set([...Object.keys(lane?.stages ?? {}), ...configured])];
  const stages = known.length === 0 ? 'none is known yet' : `expected one of ${known.join(', ')}`;
  throw new NotFound(`${service} has no stage '${stage}': ${stages}`);
}

/** Where the file cannot be used, the lane alone has to know. */
function stagesOf(service: string, read: ReadConfiguration): string[] {
  let configuration: Configuration;
  try {
    configuration = read();
  } catch (error) {
    if (error instanceof InvalidConfiguration) return [];
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
