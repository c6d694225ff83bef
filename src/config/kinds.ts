import type { BuilderKind } from '../builds/builder.ts';
import type { ProjectKind } from '../builds/project.ts';
import type { CheckKind } from '../checks/check.ts';
import type { DeployKind, ResolvedStage } from '../deploys/deploy.ts';
import type { Environment } from '../domain/environment.ts';
import type { OperatorEntry } from '../domain/person.ts';
import type { ForgeKind } from '../forges/forge.ts';
import type { NotifierKind } from '../notifiers/notifier.ts';
import type { ForgeSections } from '../settings/github.ts';
import type { SecretCheck } from '../settings/scalars.ts';
import type { AnySource, DropIn } from '../sources/kit/source.ts';
import type { Role } from './roles.ts';

/** Every kind of thing that may stand in a configuration. `src/product.ts` has those of the product; other code gets them as an argument. */
export interface Kinds {
  /** Who may report pushes, by the keys of `receivers`. */
  readonly sources: readonly AnySource[];
  /** What an image has to pass, by their keys in a service. In the order in which people see them. */
  readonly checks: readonly CheckKind[];
  /** How a folder of a repository becomes an image, by the keys of `project` of a build. */
  readonly projects: readonly ProjectKind[];
  /** What makes it, by the keys of `builder`. */
  readonly builders: readonly BuilderKind[];
  /** How an image comes to run, by the keys of `deploy`. */
  readonly deploys: readonly DeployKind[];
  /** Where deployment repositories live, by the keys of `forge`: the first that accepts a repository has it. */
  readonly forges: readonly ForgeKind[];
  /** Who can be told, by the keys of the entries of `notify`. */
  readonly notifiers: readonly NotifierKind[];
}

/** What a map says under the key of a kind: only the kind itself knows its type. */
export function saidOf(read: object, kind: string): unknown {
  return Reflect.get(read, kind);
}

/** The configuration that the environment stands for if there is no file; undefined unless it asks for one. */
export function dropInOf({ sources }: Pick<Kinds, 'sources'>, env: Environment): DropIn | undefined {
  return sources.map((source) => source.dropIn?.(env)).find((found) => found !== undefined);
}

/** The kind of forge where a repository lives; undefined where nobody knows it. */
export function forgeOf(repository: string, { forges }: Pick<Kinds, 'forges'>): ForgeKind | undefined {
  return forges.find(({ accepts }) => accepts(repository));
}

/** How secrets are checked that these parts of Landfall use. */
export type SecretCheckFor = (...users: readonly Role[]) => SecretCheck;

/** What services of one file share. */
export interface FileContext extends ForgeSections {
  readonly kinds: Kinds;
  /** Absent if that section is wrong by itself: then nothing can be said about their names. */
  readonly operators?: readonly OperatorEntry[];
  /** Absolute folder of the file. */
  readonly directory: string;
  readonly checkFor: SecretCheckFor;
}

/** What the parts of a stage have to know of each other. */
export interface StageContext extends FileContext, ResolvedStage {}
