import { setTimeout as pause } from 'node:timers/promises';
import { formatReference, tryParseReference } from '../../domain/image-reference.ts';
import type { RunningImage } from '../../domain/outcomes.ts';
import type { KubernetesClient } from '../../platform/kubernetes/client.ts';
import { conflictingManagers, isConflict, isInvalid, KubernetesError } from '../../platform/kubernetes/errors.ts';
import { containersOf, type FieldSet, type ManagedFields, type WorkloadObject } from '../../platform/kubernetes/objects.ts';
import {
  isInit,
  nameOf,
  readWorkload,
  restartAnnotation,
  rolloutAnnotation,
  type Workload,
  workloadOf,
  workloadResources,
} from '../../platform/kubernetes/workloads.ts';
import { refused } from '../kit/refusals.ts';

/** By this name Kubernetes knows which fields are ours. */
export const fieldManager = 'landfall';

/** What its containers had before the rollout that changed it last, kept at the workload itself: a worker that is killed forgets. */
const previousAnnotation = 'landfall.dev/previous';

export interface PreviousImages {
  /** Of which rollout's change this is the state before. */
  readonly rollout: string;
  /** By container: references with the digests that ran. */
  readonly images: Readonly<Record<string, string>>;
  /** Which rollout had brought that, as its template said. */
  readonly mark?: string;
  /** Containers that have a digest only because we went back to it. */
  readonly pinned: readonly string[];
}

export function previousOf({ object }: Workload): PreviousImages | undefined {
  try {
    const found: unknown = JSON.parse(object.metadata.annotations?.[previousAnnotation] ?? '');
    return isPrevious(found) ? found : undefined;
  } catch {
    return undefined;
  }
}

/** The rollout that brought what a template has; undefined: none did. */
export function markOf({ template }: Workload): string | undefined {
  return template.metadata?.annotations?.[rolloutAnnotation];
}

/** What was pinned to go back in the other containers stays so, also where that was done since the change was planned. */
function withOtherPins({ workload, images, previous }: WorkloadChange): PreviousImages {
  const others = previousOf(workload)?.pinned.filter((container) => !(container in images) && !(container in previous.images));
  return { ...previous, pinned: [...(others ?? []), ...previous.pinned] };
}

function isPrevious(found: unknown): found is PreviousImages {
  return typeof found === 'object' && found !== null && 'rollout' in found && 'images' in found && 'pinned' in found;
}

/** A change of one workload. */
export interface WorkloadChange {
  readonly workload: Workload;
  /** By container; of those that are left out, nothing changes. */
  readonly images: Readonly<Record<string, string>>;
  readonly previous: PreviousImages;
  /** Says on the template which rollout brought it; absent: none did. */
  readonly mark: string | undefined;
  /** Field managers whose image is taken over; `anybody`: what is there is known to be what we found. */
  readonly takeFrom: readonly string[] | 'anybody';
  /** ISO 8601, UTC: the pods are to be made anew although no image changes. */
  readonly restartedAt?: string;
}

interface WriteOptions {
  /** Nothing is changed: what would be refused is found out. */
  readonly dryRun?: boolean;
  readonly signal: AbortSignal;
}

/** Controllers note the state of a new object several times a second, and each of these makes it another one. */
const mostTries = 12;
const pauseMs = 50;

/**
 * Sets images by server-side apply. Somebody who changes the object at the same moment is not run over: it is read again, and where it was restarted
 * meanwhile, that will do.
 * @throws Refusal `DeployRefused` where a field belongs to another manager, or the API server does not take it
 */
export async function writeImages(client: KubernetesClient, change: WorkloadChange, options: WriteOptions): Promise<Workload> {
  let { workload } = change;
  let forced = false;
  for (let tries = 1; ; tries += 1) {
    try {
      return await applyOnce(client, { ...change, workload }, options, forced);
    } catch (error) {
      if (!(error instanceof KubernetesError)) throw error;
      const owners = isConflict(error) ? conflictingManagers(error) : [];
      if (owners.length > 0) {
        // That somebody else restarted it once is no state that could be lost.
        const strangers = owners.filter(
          ({ manager, field }) =>
            change.takeFrom !== 'anybody' && !change.takeFrom.includes(manager) && !field.includes(restartAnnotation),
        );
        if (strangers.length > 0) throw ownedByOthers(workload, strangers, error);
        forced = true;
        continue;
      }
      if (isInvalid(error)) throw refused(`Kubernetes does not take the change of ${nameOf(workload)}: ${error.message}`, error);
      if (!isConflict(error) || tries >= mostTries) throw error;
      await pause(tries * pauseMs, undefined, { signal: options.signal });
      const now = await readWorkload(client, workload, options.signal);
      if (now === undefined) throw refused(`${nameOf(workload)} in ${workload.namespace} was deleted meanwhile`, error);
      if (change.restartedAt !== undefined && restartOf(now) !== restartOf(change.workload)) return now;
      workload = now;
      // Whose it is now may have changed as well.
      forced = false;
    }
  }
}

async function applyOnce(
  client: KubernetesClient,
  change: WorkloadChange,
  { signal, dryRun = false }: WriteOptions,
  forced: boolean,
): Promise<Workload> {
  const { kind, namespace, name } = change.workload;
  const path = { resource: workloadResources[kind], namespace, name };
  const written = await client.apply<WorkloadObject>(path, objectFor(change), { manager: fieldManager, forced, dryRun }, signal);
  return workloadOf(kind, written);
}

/** All that is to be ours from now on: what we set once and leave out would be taken away. */
function objectFor(change: WorkloadChange): object {
  const { workload, images, mark, restartedAt } = change;
  const { kind, namespace, name, object, template } = workload;
  const own = ownContainers(object);
  const all = containersOf(template).flatMap(({ name, image }) => {
    const wanted = images[name] ?? (own.has(name) ? image : undefined);
    return wanted === undefined ? [] : [{ name, image: wanted }];
  });
  const [initContainers, containers] = [true, false].map((init) => all.filter((each) => isInit(template, each.name) === init));
  const restart = restartedAt ?? (isOwnRestart(object) ? restartOf(workload) : undefined);
  const pods = {
    metadata: {
      annotations: {
        ...(mark !== undefined && { [rolloutAnnotation]: mark }),
        ...(restart !== undefined && { [restartAnnotation]: restart }),
      },
    },
    spec: { ...(containers?.length && { containers }), ...(initContainers?.length && { initContainers }) },
  };
  const { resourceVersion } = object.metadata;
  return {
    kind,
    metadata: { name, namespace, resourceVersion, annotations: { [previousAnnotation]: JSON.stringify(withOtherPins(change)) } },
    spec: kind === 'CronJob' ? { jobTemplate: { spec: { template: pods } } } : { template: pods },
  };
}

/** The containers whose image is ours: another service may have set another one of the same pod. */
function ownContainers(object: WorkloadObject): Set<string> {
  const names = [...appliedFields(object)].flatMap(([key, fields]) => {
    const name = /^k:(\{.*\})$/.exec(key)?.[1];
    return name !== undefined && 'f:image' in fields ? [(JSON.parse(name) as { name?: string }).name ?? ''] : [];
  });
  return new Set(names);
}

function restartOf({ template }: Workload): string | undefined {
  return template.metadata?.annotations?.[restartAnnotation];
}

function isOwnRestart(object: WorkloadObject): boolean {
  return [...appliedFields(object)].some(([key]) => key === `f:${restartAnnotation}`);
}

/** Every field that we have applied, however deep, with what is below it. */
function* appliedFields({ metadata }: WorkloadObject): Generator<[string, FieldSet]> {
  const isOurs = ({ manager, operation }: ManagedFields) => manager === fieldManager && operation === 'Apply';
  for (const { fieldsV1 = {} } of metadata.managedFields?.filter(isOurs) ?? []) yield* fieldsIn(fieldsV1);
}

function* fieldsIn(fields: FieldSet): Generator<[string, FieldSet]> {
  for (const entry of Object.entries(fields)) {
    yield entry;
    yield* fieldsIn(entry[1]);
  }
}

function ownedByOthers(workload: Workload, owners: readonly { manager: string; field: string }[], cause: unknown) {
  const managers = [...new Set(owners.map(({ manager }) => manager))];
  const fields = [...new Set(owners.map(({ field }) => field))];
  return refused(
    `expected to own the image of ${nameOf(workload)} in ${workload.namespace}, but ${fields.join(', ')} belongs to the field manager ${managers.join(' and ')}: ` +
      `find out who changes it, and either leave it to them, or list ${managers.join(', ')} in deploy.kubernetes.takeFrom to have Landfall take it over; then retry`,
    cause,
  );
}

/** With the digest that ran: a tag alone may mean something else by now. */
export function pinnedReference({ reference, digest }: Pick<RunningImage, 'reference' | 'digest'>): string {
  const parsed = tryParseReference(reference);
  return parsed === undefined || digest === undefined ? reference : formatReference({ ...parsed, digest });
}
