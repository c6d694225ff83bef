import type Docker from 'dockerode';
import type { ImageIdentity, RunningImage } from '../../domain/outcomes.ts';
import { type Container, findImage, inspectContainer, isOwnLabel, type Labels } from '../../platform/docker/container.ts';
import type { Target } from '../deploy.ts';
import { refused } from '../kit/refusals.ts';
import { runningImage, withImage } from './digests.ts';

export interface DockerDeployPlan {
  /** The containers by name, or all that have this label (`key` or `key=value`). */
  readonly containers: { readonly names: readonly string[] } | { readonly label: string };
  /** Longest time from the start of a container to running (and healthy, where it has a HEALTHCHECK). */
  readonly timeoutMs: number;
}

export type DockerTarget = Target<DockerDeployPlan>;

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
 * Undefined if there is no such container. Deploy labels that came with its image are left out: only the deployer itself decides how a
 * deploy goes on. Its own say when the container was made and instead of which one, which nobody knows before.
 */
export async function findContainer(docker: Docker, idOrName: string): Promise<Container | undefined> {
  const container = await inspectContainer(docker, idOrName);
  const { Labels } = container?.Config ?? {};
  if (container === undefined || readDeployLabels(Labels) === undefined) return container;
  const ofImage = (await findImage(docker, container.Image))?.Config?.Labels;
  if (['at', 'instead-of'].some((name) => isOwnLabel(`${prefix}${name}`, Labels, ofImage))) return container;
  const others = Object.entries(Labels ?? {}).filter(([label]) => !isDeployLabel(label));
  return { ...container, Config: { ...container.Config, Labels: Object.fromEntries(others) } };
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
export const keptName = (name: string): string => `${name}${keptSuffix}`;

/** The name of a container that is not in its slot yet, or not any more. */
export const nextName = (name: string): string => `${name}${nextSuffix}`;

/** `web` of `web`, and of the names above. */
export function slotName(name: string): string {
  const suffix = [keptSuffix, nextSuffix].find((each) => name.endsWith(each)) ?? '';
  return name.slice(0, name.length - suffix.length);
}

/** The container of a name, and those that the deployer keeps beside it under temporary names. */
export interface Slot {
  readonly name: string;
  readonly current: Container | undefined;
  /** What was in the slot before: stopped, and not started by Docker. */
  readonly kept: Container | undefined;
  /** On its way into the slot, or out of it. */
  readonly next: Container | undefined;
}

export async function readSlot(docker: Docker, name: string): Promise<Slot> {
  const names = [name, keptName(name), nextName(name)];
  const [current, kept, next] = await Promise.all(names.map((each) => findContainer(docker, each)));
  return { name, current, kept, next };
}

export function readSlots(docker: Docker, names: Iterable<string>): Promise<Slot[]> {
  return Promise.all(Array.from(names, (name) => readSlot(docker, name)));
}

/**
 * The slots of a stage, in the order of the plan; by name if a label selects them.
 * @param only names of those that are meant; absent: all
 * @throws Refusal `DeployRefused` for a name in `only` that the stage does not have
 */
export async function findSlots(docker: Docker, { containers }: DockerDeployPlan, only?: readonly string[]): Promise<Slot[]> {
  const names = 'names' in containers ? containers.names : await namesWithLabel(docker, containers.label);
  const unknown = (only ?? []).filter((name) => !names.includes(name));
  if (unknown.length > 0) {
    throw refused(
      `expected ${unknown.join(', ')} among the containers of deploy.docker, found ${names.join(', ') || 'none'}: ` +
        'correct the names, or the containers of the stage',
    );
  }
  const meant = only === undefined ? names : names.filter((name) => only.includes(name));
  return readSlots(docker, new Set(meant));
}

/**
 * In an interrupted deploy only the kept and the next container have the label. A container that has the label from its image alone does
 * not count, because anybody's image may carry it; unless the deployer made that container as a replacement.
 */
async function namesWithLabel(docker: Docker, label: string): Promise<readonly string[]> {
  const [key = ''] = label.split('=', 1);
  const listed = await docker.listContainers({ all: true, filters: { label: [label] } });
  const found = await Promise.all(listed.map(({ Id }) => findContainer(docker, Id)));
  const meant = await Promise.all(
    found.map(async (container) => {
      if (container === undefined) return [];
      const { Labels } = container.Config;
      const isMeant =
        readDeployLabels(Labels) !== undefined ||
        isOwnLabel(key, Labels, (await findImage(docker, container.Image))?.Config?.Labels);
      return isMeant ? [slotName(container.Name.slice(1))] : [];
    }),
  );
  return [...new Set(meant.flat())].sort();
}

/** What is in the slots; where a deploy was cut off, what was in it a moment ago. */
export async function runningIn(docker: Docker, slots: readonly Slot[], wanted: ImageIdentity): Promise<RunningImage[]> {
  const running = slots.map(async ({ name, current, kept }) => {
    const container = current ?? kept;
    return container === undefined ? [] : [runningImage(name, await withImage(docker, container), wanted)];
  });
  return (await Promise.all(running)).flat();
}

/** Whether `next` was made to replace what is (or was) in the slot: then its labels say how that one is to run. */
export function isNextTied({ current, kept, next }: Slot): boolean {
  const source = current ?? kept;
  return source !== undefined && readDeployLabels(next?.Config.Labels)?.replaces === source.Id;
}

/** Whether the slot's container was taken out, or stopped for that, and nothing has replaced it yet. */
export function isInterrupted(slot: Slot): boolean {
  const { current, kept, next } = slot;
  if (current === undefined) return kept !== undefined;
  return isNextTied(slot) && !current.State.Running && readDeployLabels(next?.Config.Labels)?.starts === true;
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
