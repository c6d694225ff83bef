import type Docker from 'dockerode';
import type { Container } from '../../platform/docker/container.ts';
import { isOwnLabel, type Labels } from '../../platform/docker/own-labels.ts';

/**
 * What the deployer writes on containers that it makes. Not `landfall.rollout`: what carries that is a smoke test's, and swept away.
 * Everything with this prefix is left out when a container is made again, so marks never pile up.
 */
const prefix = 'landfall.deployed.';

/** All that is needed to finish or to undo a deploy that was cut off, by somebody who knows nothing else. */
export interface Mark {
  /** Workflow id of the rollout or rollback that made the container. */
  readonly rollout: string;
  readonly turn: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  /** Id of the container in whose place it is. */
  readonly insteadOf: string;
  /** Whether that one was to run, and so is this. */
  readonly starts: boolean;
  /** The restart policy of both: the one that is kept has none meanwhile. `always`, `on-failure:3` */
  readonly restart: string;
}

export function markLabels(mark: Mark): Record<string, string> {
  return {
    [`${prefix}rollout`]: mark.rollout,
    [`${prefix}turn`]: String(mark.turn),
    [`${prefix}at`]: mark.at,
    [`${prefix}instead-of`]: mark.insteadOf,
    [`${prefix}starts`]: String(mark.starts),
    [`${prefix}restart`]: mark.restart,
  };
}

/** Undefined where it is not a container that the deployer made. */
export function readMark(labels: Labels): Mark | undefined {
  const read = (name: string) => labels?.[`${prefix}${name}`];
  const [rollout, insteadOf, at] = [read('rollout'), read('instead-of'), read('at')];
  if (rollout === undefined || insteadOf === undefined || at === undefined) return undefined;
  const restart = read('restart') ?? 'no';
  return { rollout, insteadOf, at, turn: Number(read('turn')), starts: read('starts') === 'true', restart };
}

/**
 * Whether the deployer has put a mark on the container, and not its image: the mark says when it was made and instead of which container,
 * which nobody knows before. All of it is set together.
 */
export function isOwnMark(container: Labels, image: Labels): boolean {
  return ['at', 'instead-of'].some((name) => isOwnLabel(`${prefix}${name}`, container, image));
}

export function withoutMark(labels: Labels): Record<string, string> {
  return Object.fromEntries(Object.entries(labels ?? {}).filter(([label]) => !isMarkLabel(label)));
}

export function isMarkLabel(label: string): boolean {
  return label.startsWith(prefix);
}

export function formatPolicy(policy: Docker.HostRestartPolicy | undefined): string {
  const name = policy?.Name || 'no';
  return policy?.MaximumRetryCount ? `${name}:${policy.MaximumRetryCount}` : name;
}

export function parsePolicy(text: string): Docker.HostRestartPolicy {
  const [name = 'no', retries] = text.split(':');
  return { Name: name, MaximumRetryCount: Number(retries ?? 0) };
}

const keptSuffix = '-landfall-before';
const nextSuffix = '-landfall-next';

/** The name of the container that ran before, while it is kept to go back to. */
export function keptName(name: string): string {
  return `${name}${keptSuffix}`;
}

/** The name of a container that is not in its place yet, or not any more. */
export function nextName(name: string): string {
  return `${name}${nextSuffix}`;
}

/** `web` of `web`, and of the names above. */
export function placeName(name: string): string {
  const suffix = [keptSuffix, nextSuffix].find((each) => name.endsWith(each));
  return suffix === undefined ? name : name.slice(0, -suffix.length);
}

/** Exit codes of a process that ended as it was told to: well, or by SIGINT, SIGKILL or SIGTERM. */
const toldToStop: readonly number[] = [0, 130, 137, 143];

/**
 * Whether its owner wants a container to run; one that its owner does not is deployed, and left stopped. Docker does not tell one that a
 * person stopped from one that ended by itself: one that ended by an error of its own, nobody has stopped; one that Docker would have
 * started again, somebody has. One that never ran was made to run only where its mark says so.
 */
export function isWantedRunning({ State, HostConfig, Config }: Container): boolean {
  if (State.Running || State.Restarting) return true;
  if (State.Status === 'created') return readMark(Config.Labels)?.starts ?? false;
  if (State.OOMKilled || State.Error !== '') return true;
  const isKeptUp = ['always', 'unless-stopped'].includes(HostConfig.RestartPolicy?.Name ?? '');
  return !isKeptUp && !toldToStop.includes(State.ExitCode);
}
