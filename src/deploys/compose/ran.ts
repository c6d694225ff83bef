import type { ImageIdentity, RunningImage } from '../../domain/outcomes.ts';
import type { ComposeProgram } from '../../platform/compose/find-compose.ts';
import { ask } from './command.ts';
import { type Definition, definition, withImages } from './definition.ts';
import { placeArguments, projectOf } from './project.ts';
import { refused } from './refusals.ts';
import { runningImages, type Service } from './services.ts';
import type { ComposeTarget, Deploying, Present, Site } from './site.ts';
import type { Kept } from './stage-files.ts';

/**
 * The definition that the containers were made from: what a deploy or rollback of ours kept, as long as it is these very containers, else
 * the files as they are now. Whether these are it, the hash tells that Compose wrote on the containers.
 * @returns undefined where nothing runs
 */
export async function definitionOfRunning(
  deploying: Deploying,
  target: ComposeTarget,
  { site, project, services }: Present,
): Promise<Kept | undefined> {
  const there = services.filter(({ containers }) => containers.length > 0);
  if (there.length === 0) return undefined;
  const known = (await site.files.readKept()).find((kept) => isOf(kept, there));
  if (known !== undefined) return await inOurWords(site, known);
  const commit = await headOf(deploying, target);
  const exact = await wereMadeFrom(site, project.definition, there);
  return keptOf(project.definition, site.compose, there, target.image, { exact, ...(commit !== undefined && { commit }) });
}

/** Where a definition comes from: see `Kept`. */
type About = Pick<Kept['x-landfall'], 'exact' | 'commit'>;

/** Remembers what was just brought up. @param from absent: from the files as they are now */
export async function keepCurrent(
  deploying: Deploying,
  target: ComposeTarget,
  { files, compose }: Pick<Site, 'files' | 'compose'>,
  whole: Definition,
  services: readonly Service[],
  from?: About,
): Promise<void> {
  const commit = from === undefined ? await headOf(deploying, target) : from.commit;
  const about = { exact: from?.exact ?? true, ...(commit !== undefined && { commit }) };
  await files.writeCurrent(keptOf(whole, compose, services, target.image, about));
}

function keptOf(
  whole: Definition,
  { version }: ComposeProgram,
  services: readonly Service[],
  wanted: ImageIdentity,
  about: About,
): Kept {
  const images = runningImages(services, wanted).map(({ name, digest, imageId }) => [name, { digest, imageId }] as const);
  return {
    ...whole,
    'x-landfall': {
      ...about,
      compose: version,
      containers: Object.fromEntries(services.map(({ name, containers }) => [name, idsOf(containers)])),
      images: Object.fromEntries(images),
    },
  };
}

/** Whether these services have the very containers that it was kept for. */
function isOf({ 'x-landfall': { containers } }: Kept, services: readonly Service[]): boolean {
  return services.every((service) => sameIds(containers[service.name] ?? [], idsOf(service.containers)));
}

/** Whether it is what ran when this was said to be running. */
export function hasRun({ 'x-landfall': { images }, services }: Kept, before: readonly RunningImage[]): boolean {
  return before.every(({ name, digest, imageId }) => {
    const known = images[name];
    if (known === undefined || services?.[name] === undefined) return false;
    return (digest !== undefined && known.digest === digest) || (imageId !== undefined && known.imageId === imageId);
  });
}

async function headOf({ run }: Deploying, { deploy, stage }: ComposeTarget): Promise<string | undefined> {
  if (stage.change === undefined) return undefined;
  const { exitCode, stdout } = await run(['-C', deploy.directory, 'rev-parse', '--verify', '--quiet', 'HEAD']);
  return exitCode === 0 ? stdout.toString('utf8').trim() : undefined;
}

/** Another version of Compose names defaults that this one leaves out, or the other way round. */
async function inOurWords({ compose, place, files }: Site, kept: Kept): Promise<Kept> {
  if (kept['x-landfall'].compose === compose.version) return kept;
  const services = Object.keys(kept['x-landfall'].containers);
  const again = await files.withRendered(kept, async (path) => {
    const where = { directory: place.directory, files: [path], project: kept.name, apart: true };
    const { exitCode, stdout } = await ask(
      compose,
      [...placeArguments(where), 'config', '--format', 'json', ...services],
      place.directory,
    );
    return exitCode === 0 ? definition.parse(JSON.parse(stdout)) : undefined;
  });
  return again === undefined ? kept : { ...again, 'x-landfall': kept['x-landfall'] };
}

const hashLabel = 'com.docker.compose.config-hash';
const versionLabel = 'com.docker.compose.version';

/** Other versions of Compose hash otherwise, so that nothing can be told of what they made. */
async function wereMadeFrom(site: Site, whole: Definition, services: readonly Service[]): Promise<boolean> {
  const images = services.map(({ name, containers }) => [name, containers[0]?.container.Config.Image ?? ''] as const);
  const ran = withImages(whole, Object.fromEntries(images));
  const labels = services.flatMap(({ name, containers }) =>
    containers.map(({ container: { Config } }) => ({
      name,
      hash: Config.Labels?.[hashLabel],
      version: Config.Labels?.[versionLabel],
    })),
  );
  const comparable = labels.filter(({ hash, version }) => hash && (!version || version === site.compose.version));
  if (comparable.length === 0) return true;
  const hashes = await hashesOf(site, ran);
  const isIn = (known: ReadonlyMap<string, string>) => comparable.every(({ name, hash }) => known.get(name) === hash);
  // With `--no-deps`, Compose forgets what a service depends on, and hashes it so.
  return isIn(hashes) || isIn(await hashesOf(site, withoutDependencies(ran)));
}

async function hashesOf({ compose, place, files }: Site, whole: Definition): Promise<ReadonlyMap<string, string>> {
  return await files.withRendered(whole, async (path) => {
    const where = placeArguments({ directory: place.directory, files: [path], project: projectOf(whole).name, apart: true });
    const args = [...where, '--profile', '*', 'config', '--hash', '*'];
    const { exitCode, stdout, stderr } = await ask(compose, args, place.directory);
    if (exitCode !== 0)
      throw refused(`expected Docker Compose to read what it rendered itself, but it says: ${stderr.slice(-500)}`);
    return new Map(stdout.split('\n').flatMap((line) => (line.includes(' ') ? [splitOnce(line)] : [])));
  });
}

function splitOnce(line: string): [string, string] {
  const at = line.indexOf(' ');
  return [line.slice(0, at), line.slice(at + 1).trim()];
}

function withoutDependencies(whole: Definition): Definition {
  const services = Object.entries(whole.services ?? {}).map(
    ([name, { depends_on: _dependsOn, ...rest }]) => [name, rest] as const,
  );
  return { ...whole, services: Object.fromEntries(services) };
}

function idsOf(containers: Service['containers']): string[] {
  return containers.map(({ container }) => container.Id).sort();
}

function sameIds(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && [...some].sort().every((id, index) => id === others[index]);
}
