import type { Repository } from './image-reference.ts';
import type { TagPolicy } from './tag-policy.ts';

/** Of all layers of an image, compressed. */
export const usualImageBytes = 10 * 1024 ** 3;

/**
 * What Landfall does with a push to one service. A rollout carries the plan that it was started with, so a later change of the configuration
 * never alters a running rollout. JSON-safe; secrets appear only as references (`env:NAME`, `file:PATH`), which activities resolve.
 */
export interface Plan {
  readonly service: string;
  readonly repository: Repository;
  readonly tags: TagPolicy;
  /** `os/arch` or `os/arch/variant`, which the image must have; empty: whatever it has. */
  readonly platforms: readonly string[];
  /** Most bytes of its layers, compressed; absent: `usualImageBytes`. */
  readonly mostImageBytes?: number;
  /** In the order in which people see them. */
  readonly checks: readonly CheckPlan[];
  /** At least one. */
  readonly stages: readonly StagePlan[];
  /** How long a blocked step waits for a decision before the rollout ends `expired`. */
  readonly decideWithinMs: number;
  readonly notify?: readonly NotifierPlan[];
}

/** What only a check's, deploy's or notifier's kind knows of it is in `settings`, JSON-safe; `kind` is its key in the configuration. */
interface KindPlan {
  readonly kind: string;
  readonly settings: object;
}

/** What an image has to pass before any stage. `kind` is also the name of its step. */
export interface CheckPlan extends KindPlan {
  /** For people: `Scanned`. */
  readonly title: string;
  /** Kinds that come before it in the plan, and that it waits for; empty: it begins at once. */
  readonly after: readonly string[];
  /** Longest time of one attempt, with everything that it has to fetch. */
  readonly timeoutMs: number;
  /** Only by a worker that has a Docker daemon. */
  readonly needsDocker: boolean;
}

/** One environment. Every part is optional: without a `change` the stage just deploys, without `deploy` something else does. */
export interface StagePlan {
  readonly name: string;
  readonly change?: ChangePlan;
  readonly dispatch?: DispatchPlan;
  /** Absent: nobody has to approve. */
  readonly approval?: ApprovalPlan;
  /** Absent or empty: it may be changed at any time. */
  readonly windows?: readonly WindowPlan[];
  readonly deploy?: DeployPlan;
  /** Absent: it is done once it is deployed. */
  readonly watch?: WatchPlan;
  /** If it turns out to be unhealthy. */
  readonly rollback: 'auto' | 'manual' | 'off';
}

export type MergeMethod = 'squash' | 'merge' | 'rebase';

export interface ApprovalPlan {
  /** The operators who may approve, and how many of them have to. */
  readonly from: readonly Approver[];
  readonly required: number;
  /** Counted from when the approval is asked for; then the rollout ends `expired`. */
  readonly withinMs: number;
  /** False: who pushed the image may not approve it, and if it is not known who pushed, nobody may. */
  readonly selfApproval: boolean;
  /** Only approvals count whose author is proven: by an operator's token, or by a review at GitHub. */
  readonly verified: boolean;
}

/** `github`: the login, for reviews of the pull request. */
export interface Approver {
  readonly name: string;
  readonly github?: string;
  /** The account's id: then its name counts for nothing, which may be somebody else's by now. */
  readonly githubId?: number;
  /** Their name at the OpenID provider, as its claim says it. */
  readonly oidc?: string;
}

/**
 * When the running system may be changed. `timezone` is an IANA name; `weekly` as it was written: `Fri 16:00 - Mon 08:00`, `Sat,Sun`;
 * `recurrence` iCalendar, RFC 5545: `DTSTART` (a local time in `timezone`), `RRULE` and the like, one per line, each lasting `durationMs`.
 */
export type WindowPlan = { readonly kind: 'allow' | 'deny'; readonly timezone: string; readonly reason?: string } & (
  | { readonly weekly: string }
  | { readonly recurrence: string; readonly durationMs: number }
);

/** Where and how the image comes to run. */
export interface DeployPlan extends KindPlan {
  /** The name of the host whose worker does it. Absent: somebody else is asked, and any worker asks. */
  readonly host?: string;
  /** Longest time of one attempt, of each part of it, with the wait for one that was cut off and still holds the lock, but without pulls. */
  readonly timeoutMs: number;
  /** How many of what runs are done, and watched, before the rest; absent: all at once. */
  readonly canary?: number;
  /** How many of the rest are done at once; absent: all. */
  readonly batch?: number;
  /** Parts that the kind itself makes of a deploy, by name: done, and watched, one after the other. Absent: it goes by `canary` and `batch`. */
  readonly parts?: readonly string[];
  /** It may change more than the image, so it is looked at before the rollout waits for approvals and windows. */
  readonly foresees: boolean;
  /** Its success proves which image runs. */
  readonly proves: boolean;
}

/** When is it healthy, and is it this digest? */
export interface WatchPlan {
  /** At least one; all have to agree. */
  readonly probes: readonly ProbePlan[];
  /** How long it has to stay healthy. */
  readonly forMs: number;
  readonly intervalMs: number;
  /** How many failed readings in a row are borne. */
  readonly failures: number;
  /** Failed readings count only after so long, or after the first good one. */
  readonly startPeriodMs: number;
  /** Longest time until the verdict, start period included; not healthy for `forMs` by then is unhealthy. */
  readonly withinMs: number;
  /** A deployment at GitHub of this environment with a successful status proves the digest (`deploy: none`). */
  readonly deployment?: { readonly repository: string; readonly environment: string };
}

export type ProbePlan =
  | HttpProbePlan
  | TcpProbePlan
  | DockerProbePlan
  | KubernetesProbePlan
  | ControllerProbePlan
  | CommandProbePlan;

export interface HttpProbePlan {
  readonly kind: 'http';
  readonly url: string;
  /** Values may be secret references. */
  readonly headers: Readonly<Record<string, string>>;
  /** Single status codes or classes such as `2xx`; redirects are not followed. */
  readonly status: readonly string[];
  /** RE2 pattern that the body (its first MiB) must match somewhere. */
  readonly body?: string;
  /** A header that must be there, and match the RE2 pattern. */
  readonly header?: { readonly name: string; readonly pattern: string };
  readonly timeoutMs: number;
  /** PEM file on the worker, relative to the configuration file; certificates are always verified. */
  readonly ca?: string;
  /** Where the answer says which image runs: name of a header, or a JSON pointer (RFC 6901) into the body. */
  readonly version?: {
    readonly from: { readonly header: string } | { readonly json: string };
    readonly equals: 'tag' | 'digest' | 'revision';
  };
}

export interface TcpProbePlan {
  readonly kind: 'tcp';
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
}

/** Containers that run, are `healthy` if they have a HEALTHCHECK, and were restarted at most `restarts` times since the deploy. */
export interface DockerProbePlan {
  readonly kind: 'docker';
  readonly restarts: number;
  /** By name; absent: those of the stage's deploy. */
  readonly containers?: readonly string[];
}

/** Pods of the stage's deploy: ready, and restarted at most `restarts` times since it. */
export interface KubernetesProbePlan {
  readonly kind: 'kubernetes';
  readonly restarts: number;
}

/**
 * What a GitOps controller says of an object of its own: it has applied our commit, or one that came after it, and finds it healthy. The pods
 * that it brought are ready, and run the digest.
 */
export interface ControllerProbePlan {
  readonly kind: 'argocd' | 'flux';
  readonly object: 'Application' | 'Kustomization' | 'HelmRelease';
  readonly name: string;
  readonly namespace: string;
  /** Of the worker's kubeconfig: where the object is. Absent: the current one, or the service account. */
  readonly context?: string;
  /** Where its pods are; absent: in the same cluster. */
  readonly podsContext?: string;
  /** How many of a container are borne. */
  readonly restarts: number;
}

/** Run on the host without a shell; exit code 0 is healthy. */
export interface CommandProbePlan {
  readonly kind: 'command';
  readonly command: readonly string[];
  readonly timeoutMs: number;
}

/** What people can be told of. */
export const noticeEvents = [
  'proposed',
  'approval',
  'blocked',
  'deploying',
  'healthy',
  'unhealthy',
  'delivered',
  'unchanged',
  'superseded',
  'rejected',
  'expired',
  'rolled-back',
  'aborted',
  'failed',
] as const;
export type NoticeEvent = (typeof noticeEvents)[number];

/** Somebody who is told. */
export interface NotifierPlan extends KindPlan {
  readonly events: readonly NoticeEvent[];
  /** Of what it shows one message, which newer notices bring up to date: of a rollout, or of each stage. Absent: all are there to be read. */
  readonly updates?: 'rollout' | 'stage';
}

/** Where in a file the image is named. */
export type ChangeTarget =
  /** `orByImage`: where the file has no service of that name, the only one that uses the image is meant. */
  | { readonly kind: 'compose'; readonly services: readonly string[]; readonly orByImage?: true }
  | { readonly kind: 'yaml'; readonly path: string | readonly string[] }
  | { readonly kind: 'marker'; readonly name: string }
  | { readonly kind: 'env'; readonly key: string }
  /** Wherever the file names the service's image, as files of its kind do: see `domain/manifest-edit/images.ts`. */
  | { readonly kind: 'images' };

/** What is changed in one file of the deployment repository. */
export interface ChangedFile {
  readonly file: string;
  readonly target: ChangeTarget;
  readonly pin: 'tag@digest' | 'tag' | 'digest';
  /** `reference`: the value is a whole image reference. `bare`: the value is only what `pin` names (Helm's or Kustomize's `tag:`). */
  readonly value: 'reference' | 'bare';
}

export interface ChangePlan extends ChangedFile {
  /** `owner/name` at the configured GitHub; a URL or path is a plain git remote. */
  readonly repository: string;
  readonly base: string;
  /** Further files, which are changed in the same proposal. */
  readonly also?: readonly ChangedFile[];
  /** Templates with `{service}`, `{stage}`, `{image}`, `{tag}`, `{digest}`, `{commit}`, `{sourceRepository}`; absent: Landfall's own. */
  readonly title?: string;
  readonly body?: string;
  readonly labels: readonly string[];
  readonly reviewers: readonly string[];
  readonly assignees: readonly string[];
  /** `off`: the rollout ends `proposed` once the change is proposed. `manual`: a person merges. `auto`: Landfall does. */
  readonly merge: 'off' | 'manual' | 'auto';
  /** Absent: the first of squash, merge and rebase that the repository allows. */
  readonly mergeMethod?: MergeMethod;
}

/** All files of a change, in the order in which its values are kept. */
export function filesOf(change: ChangePlan): readonly ChangedFile[] {
  return [change, ...(change.also ?? [])];
}

/** What a `repository_dispatch` carries: ours, or a shape that existing workflows listen to. */
export const dispatchPayloads = ['landfall', 'quay', 'image-push'] as const;
export type DispatchPayload = (typeof dispatchPayloads)[number];

export interface DispatchPlan {
  /** `owner/name` at the configured GitHub; absent: the one that is named like the image's repository, without its registry. */
  readonly repository?: string;
  readonly event: string;
  /** Absent: `landfall`. */
  readonly payload?: DispatchPayload;
  /** `push`: a service that only dispatches, once for a push with all its tags, without checks. Absent: `tag`, as a step of the rollout. */
  readonly per?: 'tag' | 'push';
}

/** With the stages that another plan has too, by their names; undefined where it has none of them. */
export function withStagesOf(plan: Plan, other: Plan): Plan | undefined {
  const stages = plan.stages.filter(({ name }) => other.stages.some((stage) => stage.name === name));
  return stages.length === 0 ? undefined : { ...plan, stages };
}

/** The dispatch of a service that has its pushes passed on as they come, in place of rollouts. */
export function dispatchOfPush(plan: { readonly stages: readonly Pick<StagePlan, 'dispatch'>[] }): DispatchPlan | undefined {
  return plan.stages.find(({ dispatch }) => dispatch?.per === 'push')?.dispatch;
}
