import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildPart, BuildPlan, BuildTarget, BuiltImage } from '../domain/build.ts';
import { Refusal } from '../domain/failures.ts';
import type { Repository } from '../domain/image-reference.ts';
import { jsonIn, memberOf } from '../domain/json.ts';
import { type Artifacts, sbomFile } from '../platform/artifacts.ts';
import type { ImageFile } from '../platform/docker/load-image.ts';
import { readTextIfThere } from '../platform/files/durable-file.ts';
import type { Uploads } from '../platform/registry/uploads.ts';
import type { Builder } from './builder.ts';
import { isNative } from './builders/platforms.ts';
import type { Sources } from './checkout.ts';
import { keepBuild, removeAttempts, removeOldBuilds } from './kept.ts';
import { attest, blobOf, checkBlob, imageAlone, imageIn, type PlatformManifests, partsOf, statementsOf } from './layout.ts';
import type { ProjectKind } from './project.ts';
import { emulatedIn } from './provenance.ts';
import { readProject } from './read-target.ts';

export interface PlatformBuildDependencies {
  /** Absolute: for what is built and not pushed yet. */
  readonly folder: string;
  readonly sources: Sources;
  readonly projects: readonly ProjectKind[];
  readonly builders: ReadonlyMap<string, Builder>;
  readonly uploads: Uploads;
  readonly artifacts: Artifacts;
  /** @throws Refusal `SecretMissing` */
  readonly secrets: (reference: string) => string;
}

/** One platform of a build. */
export interface PlatformWork {
  /** Tells runs of builds apart, by letters that a file may have. */
  readonly key: string;
  readonly plan: BuildPlan;
  readonly target: BuildTarget;
  readonly part: BuildPart;
  readonly signal: AbortSignal;
}

/** What is built of one platform, and where it is until it is pushed. */
export function createPlatformBuilds(dependencies: PlatformBuildDependencies) {
  const { folder, artifacts, uploads } = dependencies;
  const folderOf = ({ key, part }: Pick<PlatformWork, 'key' | 'part'>) =>
    join(folder, key, `platform-${part.platform.replaceAll('/', '-')}`);

  return {
    /** Once it is there, it is what is checked and pushed: it is not built again. */
    async build(work: PlatformWork): Promise<BuiltImage> {
      await removeOldBuilds(folder);
      await mkdir(join(folder, work.key), { recursive: true });
      await keepBuild(join(folder, work.key), work.plan);
      const home = folderOf(work);
      await removeAttempts(home);
      const known = await knownImage(home);
      if (known !== undefined) return known;
      await rm(home, { recursive: true, force: true });
      const unfinished = `${home}.${randomUUID()}`;
      try {
        const image = await buildInto(unfinished, work, dependencies);
        await rename(unfinished, home);
        return image;
      } finally {
        await rm(unfinished, { recursive: true, force: true });
      }
    },

    /** For checks: a layout of the image alone, and its files. */
    async files(work: Omit<PlatformWork, 'signal'>) {
      await keepBuild(join(folder, work.key), work.plan);
      const layout = join(await builtFolder(folderOf(work), work), 'layout');
      const found = await imageIn(layout);
      const [manifest, config, ...layers] = (await partsOf(layout, found.image)).toReversed();
      if (manifest === undefined || config === undefined) throw new Error(`expected a configuration in ${found.image.digest}`);
      const fileOf = ({ digest, size }: { readonly digest: BuiltImage['digest']; readonly size: number }): ImageFile => ({
        digest,
        size,
        path: blobOf(layout, digest),
      });
      return { layout: join(folderOf(work), 'image'), config: fileOf(config), layers: layers.toReversed().map(fileOf) };
    },

    /** Everything that the image is made of, by digests alone: whoever pulls a tag sees nothing of it. */
    async push(work: Omit<PlatformWork, 'signal'>): Promise<{ readonly entry: PlatformManifests; readonly sentBytes: number }> {
      await keepBuild(join(folder, work.key), work.plan);
      const layout = join(await builtFolder(folderOf(work), work), 'layout');
      const entry = await withSbom(layout, await imageIn(layout), artifacts);
      let sentBytes = 0;
      for (const manifest of [entry.image, ...(entry.attestation === undefined ? [] : [entry.attestation])])
        sentBytes += await upload(layout, manifest, work.target.image, uploads);
      return { entry, sentBytes };
    },

    discard: (key: string) => rm(join(folder, key), { recursive: true, force: true }),
  };
}

export type PlatformBuilds = ReturnType<typeof createPlatformBuilds>;

async function buildInto(
  home: string,
  { plan, target, part, signal }: PlatformWork,
  { sources, projects, builders, secrets }: PlatformBuildDependencies,
): Promise<BuiltImage> {
  const builder = builders.get(plan.builder.kind);
  if (builder === undefined) throw new Error(`nobody here builds with ${plan.builder.kind}`);
  const [root, layout, secretsFolder] = ['source', 'layout', 'secrets'].map((name) => join(home, name)) as [
    string,
    string,
    string,
  ];
  const epochSeconds = await sources.checkOut(plan.source, target.commit, root);
  const project = await readProject(projects, plan, { root, path: target.folder });
  const { settings } = plan.builder;
  const { platform } = part;
  const native = await builder.native(settings, signal);
  const secretFiles = await writeSecrets(secretsFolder, project.secrets, secrets);
  const { timeoutMs } = plan;
  await builder.build({ settings, project, root, platform, layout, secretFiles, epochSeconds, timeoutMs, signal });
  await Promise.all([root, secretsFolder].map((left) => rm(left, { recursive: true, force: true })));
  const found = await imageIn(layout);
  if (!plan.emulates) await refuseEmulated(layout, found, platform, native);
  const parts = await partsOf(layout, found.image);
  for (const each of parts) await checkBlob(layout, each);
  // Where it is moved to in the end, its blobs are beside it as well.
  await imageAlone('../layout', found, join(home, 'image'));
  const image = { platform, digest: found.image.digest, size: parts.reduce((sum, { size }) => sum + size, 0) };
  await writeFile(join(home, builtFile), JSON.stringify(image));
  return image;
}

const builtFile = 'built.json';

async function knownImage(home: string): Promise<BuiltImage | undefined> {
  const text = await readTextIfThere(join(home, builtFile));
  return text === undefined ? undefined : (JSON.parse(text) as BuiltImage);
}

/** @throws Refusal where another host has built it, or somebody removed it */
async function builtFolder(home: string, { part, target }: Pick<PlatformWork, 'part' | 'target'>): Promise<string> {
  if ((await knownImage(home)) !== undefined) return home;
  throw new Refusal(
    'BuildFailed',
    `expected what was built of ${target.name} for ${part.platform} in ${home}, found nothing: abort this build, and start it again`,
  );
}

async function writeSecrets(
  folder: string,
  references: Readonly<Record<string, string>>,
  secrets: PlatformBuildDependencies['secrets'],
): Promise<Record<string, string>> {
  const written = Object.entries(references).map(async ([id, reference]) => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const file = join(folder, id);
    await writeFile(file, secrets(reference), { mode: 0o600 });
    return [id, file] as const;
  });
  return Object.fromEntries(await Promise.all(written));
}

/** Emulation is slow, and what it builds may be wrong in ways that only show on the real machine: so it is never done silently. */
async function refuseEmulated(
  layout: string,
  found: PlatformManifests,
  platform: string,
  native: readonly string[],
): Promise<void> {
  if (isNative(platform, native)) return;
  const emulated = emulatedIn(await statementsOf(layout, found), native);
  if (emulated?.length === 0) return;
  const what =
    emulated === undefined
      ? 'its provenance does not tell what was run'
      : `these were run by emulation: ${emulated.slice(0, 3).join('; ')}`;
  throw new Refusal(
    'EmulationRejected',
    `expected an image for ${platform} that is built without emulation on a machine for ${native[0] ?? 'nothing'}, but ${what}: cross-compile ` +
      'in a stage FROM --platform=$BUILDPLATFORM, have that platform built by a host of its own (platforms: { on: HOST }), or say emulate: true',
  );
}

async function withSbom(layout: string, found: PlatformManifests, artifacts: Artifacts): Promise<PlatformManifests> {
  const text = await artifacts.readText(found.image.digest, sbomFile);
  const predicate = text === undefined ? undefined : jsonIn(text);
  if (memberOf(predicate, 'bomFormat') === undefined) return found;
  return await attest(layout, found, { predicateType: 'https://cyclonedx.org/bom', predicate });
}

async function upload(
  layout: string,
  manifest: PlatformManifests['image'],
  image: Repository,
  uploads: Uploads,
): Promise<number> {
  let sent = 0;
  const parts = (await partsOf(layout, manifest)).slice(0, -1);
  for (const { digest, size } of new Map(parts.map((part) => [part.digest, part])).values())
    if (await uploads.blob(image, { digest, size, file: blobOf(layout, digest) })) sent += size;
  await uploads.manifest(image, manifest.digest, await readFile(blobOf(layout, manifest.digest)), manifest.mediaType);
  return sent;
}
