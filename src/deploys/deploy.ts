import type Docker from 'dockerode';
import type { Octokit } from 'octokit';
import type { z } from 'zod';
import type { Diagnosed } from '../domain/diagnosis.ts';
import type { Environment } from '../domain/environment.ts';
import type { Deployed, OtherChanges, RunningImage, VerifiedImage } from '../domain/outcomes.ts';
import type { ChangePlan, DeployPlan, Plan, StagePlan } from '../domain/plan.ts';
import type { HostReach } from '../platform/docker/connect.ts';
import type { HostLock } from '../platform/files/host-lock.ts';
import type { KubernetesClients } from '../platform/kubernetes/client.ts';
import type { CredentialsSource } from '../platform/registry/credentials.ts';
import type { Registry } from '../platform/registry/registry.ts';
import type { ForgeSections } from '../settings/github.ts';
import type { Complain } from '../settings/problem.ts';

/**
 * A kind of deploy: how an image comes to run. It has a folder of its own, whose `index.ts` says this of it, and a line in the list of
 * deploys.
 *
 * `Input` is what its schema makes of the configuration, `Settings` (JSON-safe) what a plan carries.
 */
export interface DeployKind<Input = unknown, Settings extends object = object> {
  /** Its key under `deploy` in the configuration. */
  readonly kind: string;
  /** Who is asked to do it, for people: `GitHub`. Absent: a worker on the host of the stage does it. */
  readonly asks?: string;
  /** It may change more than the image, so it is looked at before a rollout waits for approvals and windows: see `Deployer.foresee`. */
  readonly foresees?: true;
  /** Whoever is asked reports on this very image, so that its success proves which one runs. */
  readonly proves?: true;
  /** What a stage may say of it. Nothing may be required, because all of it may come from a level above. */
  readonly schema: z.ZodType<Input>;
  /** Groups of keys of which one at most is meant, by the path to their map; `''` is its own map. The nearest level that names one decides. */
  readonly alternatives?: Readonly<Record<string, readonly (readonly string[])[]>>;
  /** What a stage's settings, with those of the levels above, come to. Paths of complaints begin inside of its map. */
  resolve(input: Input, stage: ResolvedStage, complain: Complain): ResolvedDeploy<Settings>;
  /** The same for one service, with `{service}` and `{stage}` filled in. */
  fill?(settings: Settings, fill: (text: string) => string): Settings;
  /** Where a container of this name is found, as its deployer or a person says it. Absent: it brings no containers to the host. */
  containerOf?(settings: Settings, name: string): ContainerQuery;
  /** Where the pods are that it brings, if it brings any: what runs is then named as `imagesOf` of the platform's workloads names it. */
  podsOf?(settings: Settings): PodsQuery;
  /** The repositories (`owner/name`) of the forge in which what happens can matter to it. */
  repositoriesOf?(settings: Settings): readonly string[];
  create(context: DeployContext): Deployer<Settings> | Promise<Deployer<Settings>>;
  /** Where people say already what runs, so that a first configuration can be made of it. */
  readonly starter?: {
    /** As such files are usually called. */
    readonly files: readonly string[];
    read(text: string, file: string): Promise<StarterServices | { readonly problem: string }>;
  };
}

/** Services for a first configuration. */
export interface StarterServices {
  readonly entries: readonly {
    readonly name: string;
    readonly image: string;
    readonly tags: readonly string[] | { readonly semver: string };
    /** As it stands in a configuration. */
    readonly deploy: Readonly<Record<string, object>>;
  }[];
  /** What was not taken, and why, one line each. */
  readonly leftOut: readonly string[];
}

/** What the settings of a deploy may depend on: the stage's name, and its change. */
export interface ResolvedStage extends ForgeSections {
  readonly stage: string;
  readonly change?: ChangePlan;
}

export interface ResolvedDeploy<Settings extends object> extends Pick<DeployPlan, 'timeoutMs' | 'canary' | 'batch' | 'parts'> {
  readonly settings: Settings;
}

/** By the context of a kubeconfig, and namespace; absent: the current one, and that of the context. */
export interface PodsQuery {
  readonly context?: string;
  readonly namespace?: string;
}

/** By the name of a container, or of a service of Compose: in this project, or in one whose files are in this directory (absolute). */
export type ContainerQuery =
  | { readonly container: string }
  | { readonly service: string; readonly project: string }
  | { readonly service: string; readonly directory: string };

/** What deployers use of the process that they run in. */
export interface DeployContext {
  readonly docker: Docker;
  readonly hostReach: HostReach;
  /** The container that this worker runs in: there where `hostReach` is `network`. It cannot replace itself. */
  readonly ownContainer?: string;
  /** The registry's, for pulls. */
  readonly credentials: CredentialsSource;
  /** For what several stages share; what a deployer names by `lockOf` is locked by whoever calls. */
  readonly locks: HostLock;
  /** A client of GitHub for `owner/name` whose errors are classified. @throws Refusal where GitHub is not configured */
  readonly clientFor: (repository: string) => Promise<Octokit>;
  readonly registry: Registry;
  /** By context of the kubeconfig. */
  readonly clusters: KubernetesClients;
  /** Absolute: for what has to be there after a restart. */
  readonly data: string;
  /** Landfall's own environment, with the `DOCKER_HOST` that is configured. Of it, programs get what they need. */
  readonly env: Environment;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

/**
 * The one place where a kind's settings have their types: whoever asks a kind for something hands it back what it came up with itself, so
 * everybody else need not know them. (TypeScript lets parameters of methods differ in this way.)
 */
export function defineDeploy<Input, Settings extends object>(kind: DeployKind<Input, Settings>): DeployKind {
  return kind;
}

/**
 * One that a worker can do. Every call may be cut off anywhere and repeated: what it would do a second time, it finds done, and what an
 * earlier try left half-way, it finishes or undoes.
 *
 * Errors: `Refusal` `DeployRefused` (nothing was changed), `DeployFailed` (something was); `RateLimit`; anything else is something
 * broken, to be tried again.
 */
export interface Deployer<Settings extends object = object> {
  /** Names what must not be done twice at once. Absent: that is the stage. */
  lockOf?(settings: Settings): string;

  /** What runs now; empty where nothing does yet. */
  running(target: Target<Settings>): Promise<readonly RunningImage[]>;

  /**
   * Looks, before anything is merged, whether a deploy would be refused, and what it would change besides the image. Changes nothing.
   * Absent: nobody can tell.
   * @returns undefined where it would change nothing else
   * @throws Refusal `DeployRefused`; `OtherChanges` where a person has to decide
   */
  foresee?(target: Target<Settings>, foreseeing: Foreseeing): Promise<OtherChanges | undefined>;

  /** Brings the image there, unless its digest runs already. */
  deploy(target: Target<Settings>, work: Work): Promise<Deployed>;

  /** Brings back what ran before, from what is on the host where it can: without registry and forge. */
  restore(target: Target<Settings>, before: readonly RunningImage[], work: Work): Promise<Deployed>;

  /** Removes what was kept to go back to. */
  settle(target: Target<Settings>): Promise<void>;

  /** Whether it could deploy there, as far as that is known without an image. Changes nothing. Absent: `running` tells. @throws with what to do */
  diagnose?(target: Target<Settings>, signal: AbortSignal): Promise<Diagnosed>;
}

/** `deploy`: the settings of the stage's deploy. */
export interface Target<Settings extends object = object> {
  readonly plan: Plan;
  readonly stage: StagePlan;
  readonly deploy: Settings;
  readonly image: VerifiedImage;
  /** Workflow id of the rollout or rollback that asks. */
  readonly rollout: string;
}

export interface Foreseeing {
  /** Fingerprint of the other changes that a person has said yes to; absent: nobody did. */
  readonly accepted?: string;
  readonly signal: AbortSignal;
}

export interface Work extends Foreseeing {
  /** Names of the containers that are meant, or of the part of the deploy that it is the turn of; absent: all. */
  readonly only?: readonly string[];
  /** The turn that allows it, for labels and logs; that it is not a passed one was checked before. */
  readonly turn: number;
  /** When the step was first asked for, in milliseconds since 1970: what an earlier try of it did is not older. Absent: unknown. */
  readonly since?: number;
}
