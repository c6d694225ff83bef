import { join } from 'node:path';
import type { BuildSubject, BuildTarget } from '../domain/build.ts';
import type { Environment } from '../domain/environment.ts';
import type { FetchedRemote } from '../forges/forge.ts';
import type { Artifacts } from '../platform/artifacts.ts';
import { removeOlder } from '../platform/files/leftovers.ts';
import { createGitRunner } from '../platform/git/command.ts';
import type { Registry } from '../platform/registry/registry.ts';
import type { Uploads } from '../platform/registry/uploads.ts';
import type { Builder } from './builder.ts';
import { createSources, type Sources } from './checkout.ts';
import { createPlatformBuilds, type PlatformBuilds } from './platform-build.ts';
import type { ProjectKind } from './project.ts';
import { createPublish, type Publish } from './publish.ts';
import { createReadTarget } from './read-target.ts';

export interface BuildsContext {
  /** Absolute: the data folder. */
  readonly data: string;
  readonly env: Environment;
  readonly projects: readonly ProjectKind[];
  readonly builders: ReadonlyMap<string, Builder>;
  readonly remoteOf: (repository: string) => Promise<FetchedRemote>;
  readonly registry: Registry;
  readonly uploads: Uploads;
  readonly artifacts: Artifacts;
  readonly secrets: (reference: string) => string;
}

/** What builds are made of. */
export interface Builds {
  readonly sources: Sources;
  readonly platforms: PlatformBuilds;
  /** @throws Refusal `BuildRefused` */
  readTarget(asked: BuildSubject): Promise<BuildTarget>;
  readonly publish: Publish;
}

const dayMs = 24 * 60 * 60_000;

export function createBuilds({ data, env, remoteOf, ...context }: BuildsContext): Builds {
  const [folder, targets] = [join(data, 'builds'), join(data, 'targets')];
  const sources = createSources({ folder: join(data, 'sources'), git: createGitRunner('git', env), remoteOf });
  const readTarget = createReadTarget({ ...context, sources, folder: targets });
  return {
    sources,
    platforms: createPlatformBuilds({ ...context, folder, sources }),
    async readTarget(asked) {
      await removeOlder(targets, dayMs);
      return await readTarget(asked);
    },
    publish: createPublish({ ...context, sources }),
  };
}
