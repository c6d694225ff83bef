import type { Client } from '@temporalio/client';
import type Docker from 'dockerode';
import type { Octokit } from 'octokit';
import type { Builds } from '../builds/index.ts';
import type { Check } from '../checks/check.ts';
import type { Deployer } from '../deploys/deploy.ts';
import type { TurnGuard } from '../deploys/kit/turn-guard.ts';
import type { RedeliveryEntry, SearchEntry } from '../domain/audit.ts';
import type { BuildPlan } from '../domain/build.ts';
import type { Repository, Tag } from '../domain/image-reference.ts';
import type { OperatorEntry } from '../domain/person.ts';
import type { Plan } from '../domain/plan.ts';
import type { Forge } from '../forges/forge.ts';
import type { Notifier } from '../notifiers/notifier.ts';
import type { HostLock } from '../platform/files/host-lock.ts';
import type { HookOwner } from '../platform/github/deliveries.ts';
import type { Registry } from '../platform/registry/registry.ts';
import type { StoredTags } from '../platform/registry/stored-tags.ts';
import type { Probes } from '../probes/index.ts';

/** What the steps need of the outside world. Each step picks what it needs, and no more. */
export interface Dependencies {
  /** By kind, as deployers and notifiers are. */
  readonly checks: ReadonlyMap<string, Check>;
  readonly deployers: ReadonlyMap<string, Deployer>;
  readonly notifiers: ReadonlyMap<string, Notifier>;
  readonly probes: Probes;
  readonly turns: TurnGuard;
  readonly locks: HostLock;
  readonly docker: Docker;
  readonly client: Client;
  readonly registry: Registry;
  /** What is known of a repository's tags; whoever opened it closes it. */
  readonly storedTags: (repository: Repository) => Promise<StoredTags>;
  /** How long "not found" in the registry is tried again, from the first attempt on; two minutes. */
  readonly notFoundForMs?: number;
  readonly now?: () => Date;
  /** A client for `owner/name`, or for an organization, whose errors are classified. @throws Refusal if GitHub is not configured */
  readonly clientFor: (named: string) => Promise<Octokit>;
  /** @throws Refusal if the repository's forge is not configured */
  readonly forgeFor: (repository: string) => Forge;
  readonly operators: readonly OperatorEntry[];
  /** The key by which the API vouches for people who have logged in, as a hash (`sha256:HEX`). @throws Refusal where there is none */
  readonly vouchKey: () => Promise<string>;
  /** What a reference stands for. @throws Refusal */
  readonly secrets: (reference: string) => string;
  /** Absent: no webhooks are configured to be asked for. */
  readonly redelivery?: Redelivery;
  readonly builds: Builds;
  /** A build of the configuration as it is now, by its own name. */
  readonly buildPlanOf: (name: string) => BuildPlan | undefined;
  /** The services that follow this tag of the repository, as the configuration has them now. */
  readonly plansFor: (repository: Repository, tag: Tag) => readonly Plan[];
  /** The services of a registry that name one repository, as the configuration has them now. */
  readonly plansOfHost: (host: string) => readonly Plan[];
  /** Reports to metrics and audit log. Called once at the end of each search. */
  readonly report: (entry: SearchEntry) => void;
}

/** Whose webhooks, and which of their deliveries, Landfall asks for again. */
export interface Redelivery {
  readonly owners: readonly HookOwner[];
  /** Of our receiver: `/webhook/image-published`. */
  readonly path: string;
  /** Where the world reaches our webhooks. Absent: every webhook whose URL ends with the path is taken for ours. */
  readonly publicUrl?: string;
  /** The events that the receiver takes. */
  readonly events: readonly string[];
  readonly report: (entry: RedeliveryEntry) => void;
}
