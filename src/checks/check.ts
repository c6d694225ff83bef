import type Docker from 'dockerode';
import { z } from 'zod';
import type { BuiltImage, OneShotTest } from '../domain/build.ts';
import type { Diagnosed } from '../domain/diagnosis.ts';
import type { Environment } from '../domain/environment.ts';
import { bounded, type Evidence } from '../domain/evidence.ts';
import { Refusal } from '../domain/failures.ts';
import type { Repository } from '../domain/image-reference.ts';
import type { Log } from '../domain/log.ts';
import type { Checked, VerifiedImage } from '../domain/outcomes.ts';
import type { Plan } from '../domain/plan.ts';
import type { Artifacts } from '../platform/artifacts.ts';
import type { CleanUpLater } from '../platform/docker/clean-up.ts';
import type { HostReach } from '../platform/docker/connect.ts';
import type { Images } from '../platform/docker/images.ts';
import { type AskPending, labelsOf, type SmokeRun } from '../platform/docker/labels.ts';
import type { ImageFile } from '../platform/docker/load-image.ts';
import type { KubernetesClients } from '../platform/kubernetes/client.ts';
import type { CredentialsSource } from '../platform/registry/credentials.ts';
import type { Registry } from '../platform/registry/registry.ts';
import type { Complain } from '../settings/problem.ts';
import { type SecretCheck, text, textOrSecret } from '../settings/scalars.ts';
import type { SecretResolver } from '../settings/secrets.ts';
import { optional } from '../settings/wording.ts';

/**
 * A kind of check: what an image has to pass before any stage. Everything else that knows kinds of checks learns of it from here.
 *
 * `Input` is what its schema makes of the configuration, `Settings` (JSON-safe) what a plan carries, `Section` its section of the file.
 */
export interface CheckKind<Input = unknown, Settings extends object = object, Section = unknown> {
  /** Its key in the configuration, and the name of its step. */
  readonly kind: string;
  /** Of its evidence, for people: `Scanned`. */
  readonly title: string;
  /** Whether services that say nothing of it have it, with its defaults. */
  readonly byDefault: boolean;
  /** It is dear, and begins only when all the others have let the image through. */
  readonly last?: boolean;
  /** It runs where a Docker daemon is, of which each host takes a few at once. */
  readonly needsDocker: boolean;
  /** What a service may say of it. Nothing may be required, because all of it may come from the defaults. */
  schema(check: SecretCheck): z.ZodType<Input>;
  /** Its keys, as a message lists them: `failOn, ignore, …`. */
  readonly keys: string;
  /** Groups of keys of which one at most is meant, by the path to their map; `''` is its own map. The nearest level that names one decides. */
  readonly alternatives?: Readonly<Record<string, readonly (readonly string[])[]>>;
  /** What its settings come to. Complaints begin inside of its map; `timeoutMs` is for one attempt, with everything that it has to fetch. */
  resolve(input: Input, complain: Complain): ResolvedCheck<Settings>;
  /** The same for one service, with `{service}` filled in. */
  fill?(settings: Settings, fill: (text: string) => string): Settings;
  /** It can look at what a build has made, before that is pushed. Absent: builds do not have it. */
  readonly ofBuilds?: {
    /** Whether builds that say nothing of it have it. */
    readonly byDefault: boolean;
    /** In place of the defaults of services. */
    readonly defaults?: Partial<Input>;
    /** What it makes of a program that a project wants to be run. */
    readonly ofTest?: (test: OneShotTest) => Input;
  };
  /** What the file as a whole may say of it: how this machine does it. */
  readonly section?: { readonly key: string; schema(check: SecretCheck): z.ZodType<Section> };
  /** @param section of an empty map where the file says nothing of it; undefined where the kind has none */
  create(context: CheckContext, section: Section): Check<Settings> | Promise<Check<Settings>>;
}

interface ResolvedCheck<Settings> {
  readonly settings: Settings;
  readonly timeoutMs: number;
  /** Where it depends on the settings. */
  readonly needsDocker?: boolean;
}

/** The slowest pull of an image that is worth waiting for, in milliseconds: a part of the time of a check that runs it. */
export const pullMs = 15 * 60_000;

/** One that a worker can run. */
export interface Check<Settings extends object = object> {
  /**
   * Once the signal is aborted, whatever it throws counts as cancelled.
   * @throws CheckRefused or another Refusal: the image does not pass; RateLimit; any other error: it is tried again
   */
  check(work: CheckWork<Settings>): Promise<Checked>;
  /**
   * The same for an image of one platform that was built and is in no registry yet; there where its kind has `ofBuilds`.
   * @returns `undefined` where it cannot be checked on this machine, because the image is for another one
   */
  checkBuilt?(work: BuiltWork<Settings>): Promise<Checked | undefined>;
  /**
   * Removes what killed workers left elsewhere than in Docker.
   * @param settings of all services: they tell where there may be something @returns the names of what was removed
   */
  sweep?(settings: readonly Settings[], isPending: AskPending): Promise<string[]>;
  /** Whether what it needs besides Docker is here: programs, databases, clusters. Changes nothing. @throws with what to do */
  diagnose?(settings: Settings, signal: AbortSignal): Promise<Diagnosed>;
  /** What whoever runs this has to see getting old or full, at the moment of a scrape. Absent: nothing. */
  readonly figures?: readonly CheckFigure[];
}

/** A gauge of `/metrics`. */
export interface CheckFigure {
  /** In Prometheus' manner, with its unit at the end, and without `landfall_`. */
  readonly name: string;
  readonly help: string;
  /** Undefined: it is not known. */
  read(): Promise<number | undefined>;
}

/** One run of a check. */
export interface CheckWork<Settings extends object> {
  readonly plan: Plan;
  readonly settings: Settings;
  readonly image: VerifiedImage;
  /** Labels what it makes. */
  readonly run: SmokeRun;
  readonly signal: AbortSignal;
  /** What is done in the end, however it ends. */
  readonly later: CleanUpLater;
}

/** One check of what was built. */
export interface BuiltWork<Settings extends object> extends Omit<CheckWork<Settings>, 'plan' | 'image'> {
  readonly image: BuiltImage;
  /** Where it belongs. */
  readonly repository: Repository;
  /** Absolute: an OCI image layout with this image alone. */
  readonly layout: string;
  /** The files that it is made of. */
  readonly files: { readonly config: ImageFile; readonly layers: readonly ImageFile[] };
}

/** What checks use of the process that they run in. */
export interface CheckContext {
  readonly docker: Docker;
  readonly clusters: KubernetesClients;
  readonly hostReach: HostReach;
  /** The container that this worker runs in: there where `hostReach` is `network`. See workerReach. */
  readonly ownContainer?: string;
  /** Whether this process sees a network interface of the daemon's: not where Docker runs in a machine of its own. */
  readonly hasInterface: (name: string) => boolean;
  /** Labels what this worker makes. */
  readonly workerId: string;
  /** Names this Landfall where several share one Docker daemon, and stays the same when it is started again: see createSweep. */
  readonly installation?: string;
  /** By which this installation knows what it made in Docker: see ownershipKey. */
  readonly ownershipKey: string;
  readonly secrets: SecretResolver;
  readonly credentials: CredentialsSource;
  readonly registry: Registry;
  /** Whether a registry (host and port) is spoken to over plain HTTP. */
  readonly plainHttp: (registry: string) => boolean;
  readonly artifacts: Artifacts;
  /** What relative paths of the configuration are relative to. */
  readonly baseDir: string;
  /** Absolute: for what has to be there after a restart. */
  readonly data: string;
  /** Landfall's own environment, with the `DOCKER_HOST` that is configured. */
  readonly env: Environment;
  readonly log: Pick<Log, 'info' | 'warn'>;
  readonly now: () => Date;
}

/** The one place where a kind's settings have their types: whoever asks a kind for something hands back what it came up with itself. */
export function defineCheck<Input, Settings extends object, Section = undefined>(
  kind: CheckKind<Input, Settings, Section>,
): CheckKind {
  return kind;
}

/** The image does not pass, for people to decide about. */
export class CheckRefused extends Refusal {
  constructor(type: `${string}${'Failed' | 'Rejected'}`, message: string, evidence: readonly Evidence[], options?: ErrorOptions) {
    super(type, message, [bounded(evidence)], options);
  }
}

/** Environment variables of what a check starts. @param description a sentence */
export function environment(check: SecretCheck, description: string) {
  const variables = z.record(text('the name of an environment variable', /^[^=\s]+$/), textOrSecret(check));
  return optional(variables, `${description} Text that begins with env: or file: is a reference to a secret.`);
}

/** One run of a check that has to do with Docker, and the process that it runs in. */
export interface DockerCheck<Settings extends object> extends CheckWork<Settings>, CheckContext {
  readonly images: Images;
}

/** The labels of what a run makes in Docker. @param withinMs when nobody can need it any more, in milliseconds from now */
export function labelsFor(
  check: Pick<DockerCheck<object>, 'run' | 'workerId' | 'installation' | 'ownershipKey' | 'now'>,
  name: string,
  withinMs: number,
): Record<string, string> {
  const { run, workerId: worker, installation, ownershipKey, now } = check;
  const deadline = new Date(now().getTime() + withinMs);
  return labelsOf({ ...run, worker, deadline, ...(installation !== undefined && { installation }) }, name, ownershipKey);
}

/** `repository@digest` */
export function referenceOf({ repository, digest }: VerifiedImage): string {
  return `${repository}@${digest}`;
}
