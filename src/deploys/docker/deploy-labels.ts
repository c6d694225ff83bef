import type Docker from 'dockerode';
import type { Container } from '../../platform/docker/container.ts';
import { isOwnLabel, type Labels } from '../../platform/docker/own-labels.ts';

/**
 * Prefix of the labels that the deployer writes on containers that it makes. Not `landfall.rollout`: the sweep removes containers with that
 * label, because smoke tests carry it. Labels with this prefix are not copied when a container is recreated, so they never pile up.
 */
const prefix = 'landfall.deployed.';

/** Everything that another process needs to finish or roll back an interrupted deploy. */
export interface DeployLabels {
  /** Workflow id of the rollout or rollback that made the container. */
  readonly rollout: string;
  readonly turn: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  /** Id of the container that it replaces. */
  readonly replaces: string;
  /** Whether the replaced container was to run, and so whether this one is. */
  readonly starts: boolean;
  /** The restart policy of both; the kept container has none until it is rolled back to. `always`, `on-failure:3` */
  readonly restart: string;
}

export function formatDeployLabels(labels: DeployLabels): Record<string, string> {
  return {
    [`${prefix}rollout`]: labels.rollout,
    [`${prefix}turn`]: String(labels.turn),
    [`${prefix}at`]: labels.at,
    [`${prefix}instead-of`]: labels.replaces,
    [`${prefix}starts`]: String(labels.starts),
    [`${prefix}restart`]: labels.restart,
  };
}

/** Undefined if the deployer did not make the container. */
export function readDeployLabels(labels: Labels): DeployLabels | undefined {
  const read = (name: string) => labels?.[`${prefix}${name}`];
  const [rollout, replaces, at] = [read('rollout'), read('instead-of'), read('at')];
  if (rollout === undefined || replaces === undefined || at === undefined) return undefined;
  const restart = read('restart') ?? 'no';
  return { rollout, replaces, at, turn: Number(read('turn')), starts: read('starts') === 'true', restart };
}

/**
 * Whether the deployer has put a mark on the container, and not its image: the mark says when it was made and instead of which container,
 * which nobody knows before. All of it is set together.
 */
export function hasOwnDeployLabels(container: Labels, image: Labels): boolean {
  return ['at', 'instead-of'].some((name) => isOwnLabel(`${prefix}${name}`, container, image));
}

export function withoutDeployLabels(labels: Labels): Record<string, string> {
  return Object.fromEntries(Object.entries(labels ?? {}).filter(([label]) => !isDeployLabel(label)));
}

export function isDeployLabel(label: string): boolean {
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

/** The name of a container that is not in its slot yet, or not any more. */
export function nextName(name: string): string {
  return `${name}${nextSuffix}`;
}

/** `web` of `web`, and of the names above. */
export function slotName(name: string): string {
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
  if (State.Status === 'created') return readDeployLabels(Config.Labels)?.starts ?? false;
  if (State.OOMKilled || State.Error !== '') return true;
  const isKeptUp = ['always', 'unless-stopped'].includes(HostConfig.RestartPolicy?.Name ?? '');
  return !isKeptUp && !toldToStop.includes(State.ExitCode);
}
