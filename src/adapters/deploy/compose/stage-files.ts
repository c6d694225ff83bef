import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readTextIfThere, writeDurably } from '../durable-file.ts';

/** How far a deploy is: a try after one that was cut off goes on from there. */
export interface Progress {
  readonly rollout: string;
  readonly digest: string;
  /** The commands before were done. */
  readonly prepared: boolean;
  /** The containers were recreated. */
  readonly up: boolean;
}

/** What a stage has in the worker's data folder. */
export interface StageFiles {
  /** Where the override is, whether it is there or not. */
  readonly override: string;
  /** Image by service; undefined where there is no override. */
  readPins(): Promise<Readonly<Record<string, string>> | undefined>;
  /** Nothing to pin: no override. */
  writePins(pins: Readonly<Record<string, string>>): Promise<void>;
  readProgress(): Promise<Progress | undefined>;
  writeProgress(progress: Progress | undefined): Promise<void>;
}

const progress = z.object({ rollout: z.string(), digest: z.string(), prepared: z.boolean(), up: z.boolean() });
const overrideFile = z.object({ services: z.record(z.string(), z.object({ image: z.string() })) });

export function stageFiles(folder: string): StageFiles {
  const override = join(folder, 'landfall.override.yml');
  const progressFile = join(folder, 'progress.json');
  return {
    override,
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
  };
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
