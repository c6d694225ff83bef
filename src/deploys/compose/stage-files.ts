import { randomBytes, randomUUID } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Digest } from '../../domain/image-reference.ts';
import { readTextIfThere, writeDurably } from '../../platform/files/durable-file.ts';
import { definition } from './definition.ts';

/** How far a deploy is: after an interruption, the next attempt goes on from there. */
export interface DeployProgress {
  readonly rollout: string;
  readonly digest: string;
  /** The `before` commands have run. */
  readonly prepared: boolean;
  /** The containers were recreated. */
  readonly up: boolean;
}

/** A definition with the containers that were made from it. A compose file by itself: Compose reads over `x-landfall`. */
export type StoredDefinition = z.infer<typeof kept>;

/** What a stage has in the worker's data folder. Only the owner may read it: what Compose renders may hold secrets. */
export interface StageFiles {
  /** Path of the override, even if there is none. */
  readonly override: string;
  /** Path of the definition of what runs, for Compose to read it. */
  readonly current: string;
  /** Image by service; undefined if there is no override. */
  readPins(): Promise<Readonly<Record<string, string>> | undefined>;
  /** Removes the override if there is nothing to pin. */
  writePins(pins: Readonly<Record<string, string>>): Promise<void>;
  readProgress(): Promise<DeployProgress | undefined>;
  writeProgress(progress: DeployProgress | undefined): Promise<void>;
  /** What ran before an image was deployed: what its rollback goes back to. */
  readBefore(image: Digest): Promise<StoredDefinition | undefined>;
  writeBefore(image: Digest, before: StoredDefinition): Promise<void>;
  /** All stored definitions of what runs or ran. */
  readKept(): Promise<readonly StoredDefinition[]>;
  /** What runs, as far as a deploy or a rollback of ours made it. */
  writeCurrent(now: StoredDefinition): Promise<void>;
  /** Writes a definition to a temporary file for Compose, until `act` is over. */
  withRendered<Result>(
    whole: StoredDefinition | z.infer<typeof definition>,
    act: (path: string) => Promise<Result>,
  ): Promise<Result>;
  /** A key of this host alone, so that fingerprints of secrets made with it reveal nothing. */
  secret(): Promise<string>;
}

const progress = z.object({ rollout: z.string(), digest: z.string(), prepared: z.boolean(), up: z.boolean() });
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

export function stageFiles(folder: string): StageFiles {
  const override = join(folder, 'landfall.override.yml');
  const progressFile = join(folder, 'progress.json');
  const current = join(folder, 'current.yml');
  const asked = join(folder, 'asked');
  const befores = join(folder, 'before');
  const beforeFile = (image: Digest) => join(befores, `${image.slice('sha256:'.length, 32)}.yml`);
  return {
    override,
    current,
    async readPins() {
      const found = await read(override, overrideFile);
      return found && Object.fromEntries(Object.entries(found.services).map(([service, { image }]) => [service, image]));
    },
    async writePins(pins) {
      const services = Object.fromEntries(Object.entries(pins).map(([service, image]) => [service, { image }]));
      // JSON is YAML too.
      if (Object.keys(services).length === 0) await rm(override, { force: true });
      else await writeDurably(override, `${JSON.stringify({ services }, undefined, 2)}\n`);
    },
    readProgress: () => read(progressFile, progress),
    async writeProgress(now) {
      if (now === undefined) await rm(progressFile, { force: true });
      else await writeDurably(progressFile, JSON.stringify(now));
    },
    readBefore: (image) => read(beforeFile(image), kept),
    async writeBefore(image, before) {
      await writeDurably(beforeFile(image), text(before));
      await removeOldest(befores);
    },
    async readKept() {
      const names = (await readdir(befores).catch(() => [])).filter((name) => name.endsWith('.yml'));
      const paths = [current, ...names.map((name) => join(befores, name))];
      return (await Promise.all(paths.map((path) => read(path, kept)))).flatMap((found) => found ?? []);
    },
    writeCurrent: (now) => writeDurably(current, text(now)),
    async withRendered(whole, act) {
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
    async secret() {
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
  const names = (await readdir(folder)).filter((name) => name.endsWith('.yml'));
  if (names.length <= keptBefore) return;
  const found = await Promise.all(names.map(async (name) => ({ name, at: (await stat(join(folder, name))).mtimeMs })));
  const old = found.sort((one, other) => other.at - one.at).slice(keptBefore);
  for (const { name } of old) await rm(join(folder, name), { force: true });
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
