import type { Repository } from './image-reference.ts';
import type { TagPolicy } from './tag-policy.ts';

/**
 * What Landfall does with a push to one service. A rollout carries the plan that it was started with, so a later change of
 * the configuration never alters a running rollout. JSON-safe; durations are milliseconds, sizes bytes. Secrets appear only as
 * references (`env:NAME`, `file:PATH`), which activities resolve.
 */
export interface Plan {
  readonly service: string;
  readonly repository: Repository;
  readonly tags: TagPolicy;
  /** Platforms (`os/arch` or `os/arch/variant`) that the image must have; empty: whatever the image has. */
  readonly platforms: readonly string[];
  /** Absent: images are not scanned. */
  readonly scan?: ScanPlan;
  /** Absent: images are not smoke-tested. */
  readonly smoke?: SmokePlan;
  /** In order; at least one. */
  readonly stages: readonly StagePlan[];
  /** How long a blocked step waits for a decision before the rollout ends `expired`. */
  readonly decideWithinMs: number;
}

export const severities = ['unknown', 'low', 'medium', 'high', 'critical'] as const;
export type Severity = (typeof severities)[number];

export interface ScanPlan {
  /** The lowest severity that fails the scan; `none` reports only. */
  readonly failOn: Severity | 'none';
  /** Findings without a fixed version do not fail the scan. */
  readonly ignoreUnfixed: boolean;
  readonly ignore: readonly IgnoredFinding[];
}

export interface IgnoredFinding {
  /** Vulnerability id (`CVE-2024-1234`, `GHSA-...`) or the rule id of a secret. */
  readonly id: string;
  readonly reason: string;
  /** ISO date; the entry holds to the end of that day, UTC. */
  readonly until?: string;
}

export interface SmokePlan {
  /** Longest time from start to ready. */
  readonly timeoutMs: number;
  /** How long a container without probe and HEALTHCHECK must stay up. */
  readonly stayUpMs: number;
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly pids: number;
  readonly capabilities: readonly string[];
  /** Values are plain text or secret references. */
  readonly env: Readonly<Record<string, string>>;
  /** A file of `KEY=VALUE` lines on the worker, relative to the configuration file. */
  readonly envFile?: string;
  readonly command?: readonly string[];
  /** At most one of the three; none: HEALTHCHECK, else stay up. */
  readonly http?: { readonly port: number; readonly path: string };
  readonly tcp?: { readonly port: number };
  /** A command run in the container; ready when it exits 0. */
  readonly exec?: readonly string[];
}

export interface StagePlan {
  readonly name: string;
  readonly change?: ChangePlan;
  readonly dispatch?: DispatchPlan;
  /** `off`: the rollout ends `proposed` once the change is proposed. */
  readonly merge: 'off';
}

/** Where in the file the image reference stands. */
export type ChangeTarget =
  | { readonly kind: 'compose'; readonly services: readonly string[] }
  | { readonly kind: 'yaml'; readonly path: string }
  | { readonly kind: 'marker'; readonly name: string }
  | { readonly kind: 'env'; readonly key: string };

export interface ChangePlan {
  /** `owner/name` is a repository of the configured GitHub; a URL or path is a plain git remote. */
  readonly repository: string;
  readonly base: string;
  readonly file: string;
  readonly target: ChangeTarget;
  /** What is written: `tag@digest` (the default), `tag` or `digest`. */
  readonly pin: 'tag@digest' | 'tag' | 'digest';
  /** `reference`: the value is a whole image reference. `bare`: the value is only what `pin` names (Helm's or Kustomize's `tag:`). */
  readonly value: 'reference' | 'bare';
  /** Templates with `{service}`, `{stage}`, `{image}`, `{tag}`, `{digest}`, `{commit}`, `{sourceRepository}`; absent: Landfall's own. */
  readonly title?: string;
  readonly body?: string;
  readonly labels: readonly string[];
  readonly reviewers: readonly string[];
  readonly assignees: readonly string[];
}

export interface DispatchPlan {
  /** `owner/name` at the configured GitHub. */
  readonly repository: string;
  readonly event: string;
}
