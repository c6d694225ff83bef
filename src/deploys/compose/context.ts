import { randomBytes, randomUUID } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import type { Digest } from '../../domain/image-reference.ts';
import { readTextIfThere, writeDurably } from '../../platform/files/durable-file.ts';
import { safeName } from '../../platform/files/safe-name.ts';
import type { RunGit } from '../../platform/git/command.ts';
import type { DeployContext, Target } from '../deploy.ts';
import { type Definition, definition } from './definition.ts';

export interface ComposeDeployPlan {
  /** Absolute, on the host: a folder with a compose file, in a checkout of the deployment repository where the stage has a `change`. */
  readonly directory: string;
  /** Compose files relative to `directory`; empty: what `docker compose` finds there by itself. */
  readonly files: readonly string[];
  /** Absent: what `docker compose` makes of the folder's name. */
  readonly project?: string;
  /** Services of the compose file that are recreated. At least one. */
  readonly services: readonly string[];
  /** Commands run in `directory` before and after, each as its words; a failure of one stops the deploy. */
  readonly before: readonly (readonly string[])[];
  readonly after: readonly (readonly string[])[];
  /** Longest time of each command and of `docker compose up`. */
  readonly timeoutMs: number;
  /**
   * What becomes of changes that a deploy would bring along besides the image. `ask`: an operator decides. `apply`: they are made, and
   * named. `refuse`: only a mended repository helps.
   */
  readonly others: 'ask' | 'apply' | 'refuse';
}

/** `locks` are for checkouts that several stages share; the caller locks the directory itself. */
export interface ComposeDeployerOptions extends Pick<DeployContext, 'docker' | 'env' | 'credentials' | 'locks'> {
  /** In the worker's data folder: override files, how far a deploy is, and the definitions that ran. */
  readonly folder: string;
  /** Whether this worker listens where Docker publishes ports, and so can try whether one is free. Default: false. */
  readonly isOnHost?: boolean;
}

/** One stage to deploy, and what it is deployed with. */
export interface ComposeContext extends Omit<ComposeDeployerOptions, 'folder'> {
  readonly target: Target<ComposeDeployPlan>;
  readonly git: RunGit;
  readonly files: StageFiles;
  /** For what runs in the directory: see `runToEnd`. */
  readonly programFolder: string;
}

export function contextOf(
  { folder, ...options }: ComposeDeployerOptions,
  git: RunGit,
  target: Target<ComposeDeployPlan>,
): ComposeContext {
  const { plan, stage, deploy } = target;
  const files = stageFiles(join(folder, 'stages', safeName(plan.service, stage.name)));
  // Two stages of one directory must not meet there either.
  const programFolder = join(folder, 'directories', safeName(resolve(deploy.directory)));
  return { ...options, target, git, files, programFolder };
}

/** How far a deploy is: after an interruption, the next attempt goes on from there. */
export type DeployProgress = z.infer<typeof progress>;

const progress = z.object({
  rollout: z.string(),
  digest: z.string(),
  /** The `before` commands have run. */
  prepared: z.boolean(),
  /** The containers were recreated. */
  up: z.boolean(),
});

/** A definition with the containers that were made from it. A compose file by itself: Compose reads over `x-landfall`. */
export type StoredDefinition = z.infer<typeof kept>;

const overrideFile = z.object({ services: z.record(z.string(), z.object({ image: z.string() })) });
const kept = definition.extend({
  'x-landfall': z.object({
    /** The commit of the checkout; absent without a repository. */
    commit: z.string().optional(),
    /** The Compose that rendered it: others write the same a little differently. */
    compose: z.string(),
    /** Ids of the services' containers, by service. */
    containers: z.record(z.string(), z.array(z.string())),
    /** What they run, by service. */
    images: z.record(z.string(), z.object({ digest: z.string().optional(), imageId: z.string().optional() })),
    /** False: the containers were made from something else, which nobody knows any more. */
    exact: z.boolean(),
  }),
});

/** Definitions to store for rollbacks: one for what runs now, the others for rolling back twice. */
const keptBefore = 5;
/** Compose answers within a minute. */
const abandonedMs = 60 * 60_000;

/** What a stage has in the worker's data folder. Only the owner may read it: what Compose renders may hold secrets. */
export type StageFiles = ReturnType<typeof stageFiles>;

export function stageFiles(folder: string) {
  const override = join(folder, 'landfall.override.yml');
  const progressFile = join(folder, 'progress.json');
  const current = join(folder, 'current.yml');
  const befores = join(folder, 'before');
  const beforeFile = (image: Digest) => join(befores, `${image.slice('sha256:'.length, 32)}.yml`);
  return {
    /** Path of the override, even if there is none. */
    override,
    /** Path of the definition of what runs, for Compose to read it. */
    current,
    /** Image by service; undefined if there is no override. */
    async readPins(): Promise<Readonly<Record<string, string>> | undefined> {
      const found = await read(override, overrideFile);
      return found && Object.fromEntries(Object.entries(found.services).map(([service, { image }]) => [service, image]));
    },
    /** Removes the override if there is nothing to pin. */
    async writePins(pins: Readonly<Record<string, string>>): Promise<void> {
      const services = Object.fromEntries(Object.entries(pins).map(([service, image]) => [service, { image }]));
      // JSON is YAML too.
      if (Object.keys(services).length === 0) await rm(override, { force: true });
      else await writeDurably(override, text({ services }));
    },
    readProgress: () => read(progressFile, progress),
    async writeProgress(now: DeployProgress | undefined): Promise<void> {
      if (now === undefined) await rm(progressFile, { force: true });
      else await writeDurably(progressFile, JSON.stringify(now));
    },
    /** What ran before an image was deployed: what its rollback goes back to. */
    readBefore: (image: Digest) => read(beforeFile(image), kept),
    async writeBefore(image: Digest, before: StoredDefinition): Promise<void> {
      await writeDurably(beforeFile(image), text(before));
      await removeOldest(befores);
    },
    /** All stored definitions of what runs or ran. */
    async readKept(): Promise<StoredDefinition[]> {
      const paths = [current, ...(await definitionsIn(befores))];
      return (await Promise.all(paths.map((path) => read(path, kept)))).flatMap((found) => found ?? []);
    },
    /** What runs, as far as a deploy or a rollback of ours made it. */
    writeCurrent: (now: StoredDefinition) => writeDurably(current, text(now)),
    /** Writes a definition to a temporary file for Compose, until `act` is over. */
    async withRendered<Result>(whole: Definition, act: (path: string) => Promise<Result>): Promise<Result> {
      const asked = join(folder, 'asked');
      // An earlier attempt may still be using its file, or was killed and left it.
      await removeAbandoned(asked);
      const path = join(asked, `${randomUUID()}.yml`);
      await writeDurably(path, text(whole));
      try {
        return await act(path);
      } finally {
        await rm(path, { force: true });
      }
    },
    /** A key of this host alone, so that fingerprints of secrets made with it reveal nothing. */
    async secret(): Promise<string> {
      const path = join(folder, 'fingerprint.key');
      const known = await readTextIfThere(path);
      if (known !== undefined) return known;
      const made = randomBytes(32).toString('hex');
      await writeDurably(path, made);
      return made;
    },
  };
}

function text(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

async function removeAbandoned(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > abandonedMs) await rm(path, { force: true });
  }
}

async function removeOldest(folder: string): Promise<void> {
  const found = await Promise.all((await definitionsIn(folder)).map(async (path) => ({ path, at: (await stat(path)).mtimeMs })));
  const old = found.sort((one, other) => other.at - one.at).slice(keptBefore);
  for (const { path } of old) await rm(path, { force: true });
}

async function definitionsIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.endsWith('.yml')).map((name) => join(folder, name));
}

async function read<Schema extends z.ZodType>(path: string, schema: Schema): Promise<z.infer<Schema> | undefined> {
  const text = await readTextIfThere(path);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    throw new Error(`expected ${path} as Landfall wrote it, found something else: remove it if no deploy is under way`, {
      cause,
    });
  }
}
