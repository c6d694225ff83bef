import { isDeepStrictEqual } from 'node:util';
import type { RunningImage } from '../../domain/outcomes.ts';
import type { ComposeProgram } from '../../platform/compose/find-compose.ts';
import { refused } from '../kit/refusals.ts';
import type { ComposeContext, StoredDefinition } from './context.ts';
import { type Definition, withImages, withServices } from './definition.ts';
import { type ComposeSite, type CurrentState, definitionIn, queryCompose } from './project.ts';
import { type DeployedService, runningImages } from './services.ts';

/**
 * The definition that the containers were made from: the one that our deploy or rollback stored, as long as the containers are the same, else
 * the files as they are now. Whether the files match is told by the hash that Compose writes on the containers.
 * @returns undefined if nothing runs
 */
export async function definitionOfRunning(
  context: ComposeContext,
  { site, definition, services }: CurrentState,
): Promise<StoredDefinition | undefined> {
  const there = services.filter(({ containers }) => containers.length > 0);
  if (there.length === 0) return undefined;
  // The containers that it was stored for.
  const known = (await context.files.readKept()).find(({ 'x-landfall': stored }) =>
    there.every(({ name, containers }) => isDeepStrictEqual(stored.containers[name] ?? [], idsOf(containers))),
  );
  if (known !== undefined) return await renderedAnew(context, site, known);
  const commit = await headOf(context);
  const exact = await wereMadeFrom(context, site, definition, there);
  return storedOf(context, site.compose, definition, there, { exact, commit });
}

/** Stores the definition of what was just brought up. @param from absent: the files as they are now */
export async function keepCurrent(
  context: ComposeContext,
  compose: ComposeProgram,
  whole: Definition,
  services: readonly DeployedService[],
  from?: DefinitionOrigin,
): Promise<void> {
  const origin = from ?? { exact: true, commit: await headOf(context) };
  await context.files.writeCurrent(storedOf(context, compose, whole, services, origin));
}

/** Where a definition comes from. */
type DefinitionOrigin = Pick<StoredDefinition['x-landfall'], 'exact' | 'commit'>;

function storedOf(
  { target }: ComposeContext,
  { version }: ComposeProgram,
  whole: Definition,
  services: readonly DeployedService[],
  origin: DefinitionOrigin,
): StoredDefinition {
  const images = runningImages(services, target.image).map(({ name, digest, imageId }) => [name, { digest, imageId }] as const);
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

/** Whether these images ran with this definition. */
export function hasRun({ 'x-landfall': { images }, services }: StoredDefinition, before: readonly RunningImage[]): boolean {
  return before.every(({ name, digest, imageId }) => {
    const known = images[name];
    if (known === undefined || services?.[name] === undefined) return false;
    return (digest !== undefined && known.digest === digest) || (imageId !== undefined && known.imageId === imageId);
  });
}

async function headOf({ git, target: { deploy, stage } }: ComposeContext): Promise<string | undefined> {
  if (stage.change === undefined) return undefined;
  const { exitCode, stdout } = await git(['-C', deploy.directory, 'rev-parse', '--verify', '--quiet', 'HEAD']);
  return exitCode === 0 ? stdout.toString('utf8').trim() : undefined;
}

/** Asks Compose about a definition as if it were the compose file. */
async function askAbout(
  { files }: ComposeContext,
  { compose, directory }: ComposeSite,
  whole: Definition,
  args: readonly string[],
) {
  return await files.withRendered(whole, (path) =>
    queryCompose({ compose, directory, files: [path], project: whole.name, apart: true }, args),
  );
}

/** Renders it again with this version of Compose: versions differ in which defaults they print. */
async function renderedAnew(context: ComposeContext, site: ComposeSite, kept: StoredDefinition): Promise<StoredDefinition> {
  const ours = kept['x-landfall'];
  if (ours.compose === site.compose.version) return kept;
  const args = ['config', '--format', 'json', ...Object.keys(ours.containers)];
  const { exitCode, stdout } = await askAbout(context, site, kept, args);
  return exitCode === 0 ? { ...definitionIn(stdout), 'x-landfall': ours } : kept;
}

const hashLabel = 'com.docker.compose.config-hash';
const versionLabel = 'com.docker.compose.version';

/** Versions of Compose hash differently, so containers made by another version cannot be compared. */
async function wereMadeFrom(
  context: ComposeContext,
  site: ComposeSite,
  whole: Definition,
  services: readonly DeployedService[],
): Promise<boolean> {
  const images = services.map(({ name, containers }) => [name, containers[0]?.container.Config.Image ?? ''] as const);
  const ran = withImages(whole, Object.fromEntries(images));
  const comparable = services.flatMap(({ name, containers }) =>
    containers.flatMap(({ container: { Config } }) => {
      const { [hashLabel]: hash, [versionLabel]: version } = Config.Labels ?? {};
      return hash && (!version || version === site.compose.version) ? [{ name, hash }] : [];
    }),
  );
  if (comparable.length === 0) return true;
  const haveHashesOf = async (wanted: Definition) => {
    const { exitCode, stdout, stderr } = await askAbout(context, site, wanted, ['--profile', '*', 'config', '--hash', '*']);
    if (exitCode !== 0)
      throw refused(`expected Docker Compose to read what it rendered itself, but it says: ${stderr.slice(-500)}`);
    const hashes = new Map([...stdout.matchAll(/^(\S*) (.*)$/gm)].map(([, name, hash = '']) => [name, hash.trim()]));
    return comparable.every(({ name, hash }) => hashes.get(name) === hash);
  };
  // With `--no-deps`, Compose hashes a service without its dependencies.
  return (await haveHashesOf(ran)) || (await haveHashesOf(withServices(ran, ({ depends_on: _, ...rest }) => rest)));
}

function idsOf(containers: DeployedService['containers']): string[] {
  return containers.map(({ container }) => container.Id).sort();
}
