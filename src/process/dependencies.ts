import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { createBuilds } from '../builds/index.ts';
import { buildPlanOf } from '../config/build-plans.ts';
import type { Configuration } from '../config/configuration.ts';
import { plansFor, plansOfHost } from '../config/plans.ts';
import { createTurnGuard } from '../deploys/kit/turn-guard.ts';
import type { Environment } from '../domain/environment.ts';
import { Refusal } from '../domain/failures.ts';
import type { Repository, Tag } from '../domain/image-reference.ts';
import type { Log } from '../domain/log.ts';
import { createForgeFor } from '../forges/forge.ts';
import { Artifacts } from '../platform/artifacts.ts';
import { connectDocker, hasInterface, workerReach } from '../platform/docker/connect.ts';
import { ownershipKey } from '../platform/docker/labels.ts';
import { createHostLock } from '../platform/files/host-lock.ts';
import { createGitHubClients, type GitHubClients, type GitHubCredentials } from '../platform/github/client.ts';
import { createKubernetesClients } from '../platform/kubernetes/client.ts';
import { type CredentialsSource, createDockerCredentials, firstCredentials } from '../platform/registry/credentials.ts';
import { Registry } from '../platform/registry/registry.ts';
import { StoredTags } from '../platform/registry/stored-tags.ts';
import { Uploads } from '../platform/registry/uploads.ts';
import { createProbes } from '../probes/index.ts';
import { type GitHubSettings, gitHubSettings } from '../settings/github.ts';
import type { SecretResolver } from '../settings/secrets.ts';
import type { Logging } from './logging.ts';
import { createLoginKeys } from './login-keys.ts';
import type { CurrentConfiguration } from './reload.ts';
import type { Temporal } from './temporal.ts';

const describeWithinMs = 10_000;

/**
 * Everything that steps use of the outside world, built from the configuration. What is asked for each time (registries, operators, the
 * plans of searches) is as the file says now.
 */
export async function createDependencies(
  current: CurrentConfiguration,
  temporal: Temporal,
  env: Environment,
  { log, audit, secrets }: Logging,
) {
  // A lane that begins anew in another namespace counts its turns from another start.
  const installation = await installationName(temporal);
  const { data, kinds } = current.configuration;
  const terms = { installation, ownershipKey: await ownershipKey(data), clones: data };
  const loginKeys = createLoginKeys(current, secrets);
  const outside = await connectOutside(current, terms, env, { log, secrets });
  return {
    ...outside,
    client: temporal.client,
    storedTags: (repository: Repository) => StoredTags.open(repository, { folder: join(data, 'tags'), log }),
    probes: createProbes({ ...outside, deploys: kinds.deploys }),
    get operators() {
      return current.configuration.operators;
    },
    turns: createTurnGuard(join(data, 'turns', installation)),
    vouchKey: async () => (await loginKeys()).vouch,
    buildPlanOf: (name: string) => buildPlanOf(current.configuration, name),
    plansFor: (repository: Repository, tag: Tag) => plansFor(current.configuration, repository, tag),
    plansOfHost: (host: string) => plansOfHost(current.configuration, host),
    report: audit,
    ...redeliveryOf(current.configuration, audit),
  };
}

/** Whose work it is: what is made on this machine carries it. */
interface OutsideTerms {
  readonly installation: string;
  readonly ownershipKey: string;
  /** Where forges keep clones, which no two processes may share. */
  readonly clones: string;
}

/** What kinds use of this process, and what they make of it. */
export async function connectOutside(
  current: CurrentConfiguration,
  { installation, ownershipKey, clones }: OutsideTerms,
  env: Environment,
  { log, secrets }: Pick<Logging, 'secrets'> & { readonly log: Log },
) {
  const { configuration } = current;
  const { directory, data, kinds } = configuration;
  const ofRegistry = (host: string) => current.configuration.registries[host];
  const { checks, deploys, forges, notifiers, projects, builders } = kinds;
  const plainHttp = (host: string): boolean => ofRegistry(host)?.plainHttp ?? false;
  const belongs = (host: string, registry: string): boolean => ofRegistry(registry)?.hosts?.includes(host) ?? false;
  const credentials = registryCredentials(ofRegistry, secrets, env);
  const dockerHost = configuration.docker.host;
  const dockerEnv = dockerHost === undefined ? env : { ...env, DOCKER_HOST: dockerHost };
  const docker = connectDocker(dockerEnv);
  const reach = await workerReach(docker);
  const github = gitHubSettings(configuration.forge);
  const { clientFor } = github === undefined ? { clientFor: refuseWithoutGitHub } : connectGitHub(github, secrets);
  const context = {
    ...reach,
    hasInterface: (name: string) => hasInterface(name),
    docker,
    secrets,
    credentials,
    registry: new Registry({ credentials, plainHttp, belongs }),
    plainHttp,
    clientFor,
    clusters: createKubernetesClients(env),
    locks: createHostLock(join(data, 'locks')),
    artifacts: new Artifacts(configuration.artifacts),
    baseDir: directory,
    data,
    workerId: `${hostname()}-${process.pid}`,
    installation,
    ownershipKey,
    env: dockerEnv,
    log,
    now: () => new Date(),
  };
  const configuredForges = forges.filter(({ kind, section }) => section === undefined || configuration.forge[kind] !== undefined);
  const forForges = { ...context, data: clones };
  const forgeFor = createForgeFor(
    forges,
    await byKind(configuredForges, ({ kind, create }) => create(forForges, configuration.forge[kind])),
  );
  return {
    ...context,
    checks: await byKind(checks, ({ create, section }) => create(context, section && configuration.sections[section.key])),
    deployers: await byKind(deploys, ({ create }) => create(context)),
    notifiers: await byKind(notifiers, ({ create }) => create(context)),
    forgeFor,
    builds: createBuilds({
      ...context,
      data: clones,
      projects,
      builders: await byKind(builders, ({ create }) => create(context)),
      remoteOf: (repository: string) => forgeFor(repository).remote(repository),
      uploads: new Uploads({ credentials, plainHttp, belongs }),
    }),
  };
}

/** What each kind makes of it on this machine. */
async function byKind<Kind extends { readonly kind: string }, Made>(
  kinds: readonly Kind[],
  create: (kind: Kind) => Made | Promise<Made>,
): Promise<Map<string, Made>> {
  return new Map(await Promise.all(kinds.map(async (kind): Promise<[string, Made]> => [kind.kind, await create(kind)])));
}

/** Which failed deliveries GitHub is asked for again, if any. */
function redeliveryOf({ forge, publicUrl, kinds }: Configuration, report: Logging['audit']) {
  const owners = gitHubSettings(forge)?.hooks;
  const received = kinds.sources.find(({ gitHubWebhooks }) => gitHubWebhooks !== undefined)?.gitHubWebhooks;
  if (owners === undefined || received === undefined) return {};
  return { redelivery: { owners, ...received, ...(publicUrl !== undefined && { publicUrl }), report } };
}

function registryCredentials(
  ofRegistry: (host: string) => Configuration['registries'][string] | undefined,
  secrets: SecretResolver,
  env: Environment,
): CredentialsSource {
  const configured: CredentialsSource = async (host) => {
    const { username, password } = ofRegistry(host) ?? {};
    return username === undefined || password === undefined
      ? undefined
      : { username: secrets(username), password: secrets(password) };
  };
  const folder = env.DOCKER_CONFIG ?? join(env.HOME ?? homedir(), '.docker');
  return firstCredentials(configured, createDockerCredentials({ folder, env }));
}

async function refuseWithoutGitHub(repository: string): Promise<never> {
  throw new Refusal(
    'ForgeRefused',
    `'${repository}' is on GitHub, and GitHub is not configured: add forge.github with a token or an app`,
  );
}

/**
 * The same at every start, and different for every Landfall that shares this Docker daemon: the UUID of its Temporal namespace. Temporal
 * chose it at random when the namespace was made (the embedded server's is in the data folder), while addresses and host names repeat.
 */
export async function installationName({ client, namespace }: Pick<Temporal, 'client' | 'namespace'>): Promise<string> {
  const { namespaceInfo } = await client.withDeadline(Date.now() + describeWithinMs, () =>
    client.workflowService.describeNamespace({ namespace }),
  );
  if (namespaceInfo?.id) return namespaceInfo.id;
  throw new Error(`expected Temporal to tell the id of the namespace ${namespace}, found none`);
}

/**
 * Clients by the configured credentials, made when first asked for, and anew as soon as a secret's file holds another one. A host that
 * only deploys has no need of them.
 */
export function connectGitHub(settings: GitHubSettings, secrets: SecretResolver): GitHubClients {
  const options = settings.url === undefined ? {} : { url: settings.url };
  let known: { readonly credentials: GitHubCredentials; readonly clients: GitHubClients } | undefined;
  return {
    async clientFor(repository) {
      const credentials = gitHubCredentials(settings, secrets);
      if (known === undefined || !isDeepStrictEqual(credentials, known.credentials)) {
        known = { credentials, clients: createGitHubClients(credentials, options) };
      }
      return await known.clients.clientFor(repository);
    },
  };
}

/** With what the references stand for now. @throws Refusal `SecretMissing` */
export function gitHubCredentials({ token = '', app }: GitHubSettings, secrets: SecretResolver): GitHubCredentials {
  if (app === undefined) return { token: secrets(token) };
  return { app: { ...app, id: secrets(app.id), privateKey: secrets(app.privateKey) } };
}
