import type { ImageIdentity, RunningImage } from '../../domain/outcomes.ts';
import type { ComposeProgram } from '../../platform/compose/find-compose.ts';
import { type Definition, definition, withImages } from './definition.ts';
import { locationArguments, projectOf } from './project.ts';
import { queryCompose } from './query.ts';
import { refused } from './refusals.ts';
import { type DeployedService, runningImages } from './services.ts';
import type { ComposeContext, ComposeTarget, CurrentState, DeploySite } from './site.ts';
import type { StoredDefinition } from './stage-files.ts';

/**
 * The definition that the containers were made from: the one that our deploy or rollback stored, as long as the containers are the same, else
 * the files as they are now. Whether the files match is told by the hash that Compose writes on the containers.
 * @returns undefined if nothing runs
 */
export async function definitionOfRunning(
  context: ComposeContext,
  target: ComposeTarget,
  { site, project, services }: CurrentState,
): Promise<StoredDefinition | undefined> {
  const there = services.filter(({ containers }) => containers.length > 0);
  if (there.length === 0) return undefined;
  const known = (await site.files.readKept()).find((kept) => isOf(kept, there));
  if (known !== undefined) return await renderedAnew(site, known);
  const commit = await headOf(context, target);
  const exact = await wereMadeFrom(site, project.definition, there);
  return keptOf(project.definition, site.compose, there, target.image, { exact, ...(commit !== undefined && { commit }) });
}

/** Where a definition comes from: see `Kept`. */
type DefinitionOrigin = Pick<StoredDefinition['x-landfall'], 'exact' | 'commit'>;

/** Stores the definition of what was just brought up. @param from absent: the files as they are now */
export async function keepCurrent(
  context: ComposeContext,
  target: ComposeTarget,
  { files, compose }: Pick<DeploySite, 'files' | 'compose'>,
  whole: Definition,
  services: readonly DeployedService[],
  from?: DefinitionOrigin,
): Promise<void> {
  const commit = from === undefined ? await headOf(context, target) : from.commit;
  const origin = { exact: from?.exact ?? true, ...(commit !== undefined && { commit }) };
  await files.writeCurrent(keptOf(whole, compose, services, target.image, origin));
}

function keptOf(
  whole: Definition,
  { version }: ComposeProgram,
  services: readonly DeployedService[],
  wanted: ImageIdentity,
  origin: DefinitionOrigin,
): StoredDefinition {
  const images = runningImages(services, wanted).map(({ name, digest, imageId }) => [name, { digest, imageId }] as const);
  return {
    ...whole,
    'x-landfall': {
      ...origin,
      compose: version,
      containers: Object.fromEntries(services.map(({ name, containers }) => [name, idsOf(containers)])),
      images: Object.fromEntries(images),
    },
  };
}

/** Whether these services still have the containers that it was stored for. */
function isOf({ 'x-landfall': { containers } }: StoredDefinition, services: readonly DeployedService[]): boolean {
  return services.every((service) => sameIds(containers[service.name] ?? [], idsOf(service.containers)));
}

/** Whether these images ran with this definition. */
export function hasRun({ 'x-landfall': { images }, services }: StoredDefinition, before: readonly RunningImage[]): boolean {
  return before.every(({ name, digest, imageId }) => {
    const known = images[name];
    if (known === undefined || services?.[name] === undefined) return false;
    return (digest !== undefined && known.digest === digest) || (imageId !== undefined && known.imageId === imageId);
  });
}

async function headOf({ run }: ComposeContext, { deploy, stage }: ComposeTarget): Promise<string | undefined> {
  if (stage.change === undefined) return undefined;
  const { exitCode, stdout } = await run(['-C', deploy.directory, 'rev-parse', '--verify', '--quiet', 'HEAD']);
  return exitCode === 0 ? stdout.toString('utf8').trim() : undefined;
}

/** Renders it again with this version of Compose: versions differ in which defaults they print. */
async function renderedAnew({ compose, location, files }: DeploySite, kept: StoredDefinition): Promise<StoredDefinition> {
  if (kept['x-landfall'].compose === compose.version) return kept;
  const services = Object.keys(kept['x-landfall'].containers);
  const again = await files.withRendered(kept, async (path) => {
    const where = { directory: location.directory, files: [path], project: kept.name, apart: true };
    const { exitCode, stdout } = await queryCompose(
      compose,
      [...locationArguments(where), 'config', '--format', 'json', ...services],
      location.directory,
    );
    return exitCode === 0 ? definition.parse(JSON.parse(stdout)) : undefined;
  });
  return again === undefined ? kept : { ...again, 'x-landfall': kept['x-landfall'] };
}

const hashLabel = 'com.docker.compose.config-hash';
const versionLabel = 'com.docker.compose.version';

/** Versions of Compose hash differently, so containers made by another version cannot be compared. */
async function wereMadeFrom(site: DeploySite, whole: Definition, services: readonly DeployedService[]): Promise<boolean> {
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
  // With `--no-deps`, Compose hashes a service without its dependencies.
  return isIn(hashes) || isIn(await hashesOf(site, withoutDependencies(ran)));
}

async function hashesOf({ compose, location, files }: DeploySite, whole: Definition): Promise<ReadonlyMap<string, string>> {
  return await files.withRendered(whole, async (path) => {
    const where = locationArguments({
      directory: location.directory,
      files: [path],
      project: projectOf(whole).name,
      apart: true,
    });
    const args = [...where, '--profile', '*', 'config', '--hash', '*'];
    const { exitCode, stdout, stderr } = await queryCompose(compose, args, location.directory);
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

function idsOf(containers: DeployedService['containers']): string[] {
  return containers.map(({ container }) => container.Id).sort();
}

function sameIds(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && [...some].sort().every((id, index) => id === others[index]);
}
