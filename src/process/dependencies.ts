import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Configuration } from '../config/configuration.ts';
import { plansOfHost } from '../config/plans.ts';
import { createTurnGuard } from '../deploys/kit/turn-guard.ts';
import type { Environment } from '../domain/environment.ts';
import { Refusal } from '../domain/failures.ts';
import type { Repository } from '../domain/image-reference.ts';
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
import { createProbes } from '../probes/index.ts';
import { type GitHubSettings, gitHubSettings } from '../settings/github.ts';
import type { SecretResolver } from '../settings/secrets.ts';
import type { Logging } from './logging.ts';
import type { Temporal } from './temporal.ts';

const describeWithinMs = 10_000;

/** Everything that steps use of the outside world, built from the configuration. */
export async function createDependencies(
  configuration: Configuration,
  temporal: Temporal,
  env: Environment,
  { log, audit, secrets }: Logging,
) {
  const { directory, data, registries, kinds } = configuration;
  const { checks, deploys, forges, notifiers } = kinds;
  const plainHttp = (host: string): boolean => registries[host]?.plainHttp ?? false;
  const belongs = (host: string, registry: string): boolean => registries[registry]?.hosts?.includes(host) ?? false;
  const credentials = registryCredentials(configuration, secrets, env);
  const dockerHost = configuration.docker.host;
  const dockerEnv = dockerHost === undefined ? env : { ...env, DOCKER_HOST: dockerHost };
  const docker = connectDocker(dockerEnv);
  const reach = await workerReach(docker);
  const github = gitHubSettings(configuration.forge);
  const { clientFor } = github === undefined ? { clientFor: refuseWithoutGitHub } : connectGitHub(github, secrets);
  // A lane that begins anew in another namespace counts its turns from another start.
  const installation = await installationName(temporal);
  const locks = createHostLock(join(data, 'locks'));
  // What kinds may use of this process.
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
    locks,
    artifacts: new Artifacts(configuration.artifacts),
    baseDir: directory,
    data,
    workerId: `${hostname()}-${process.pid}`,
    installation,
    ownershipKey: await ownershipKey(data),
    env: dockerEnv,
    log,
    now: () => new Date(),
  };
  const configuredForges = forges.filter(({ kind, section }) => section === undefined || configuration.forge[kind] !== undefined);
  return {
    ...context,
    client: temporal.client,
    storedTags: (repository: Repository) => StoredTags.open(repository, { folder: join(data, 'tags'), log }),
    checks: await byKind(checks, ({ create, section }) => create(context, section && configuration.sections[section.key])),
    deployers: await byKind(deploys, ({ create }) => create(context)),
    notifiers: await byKind(notifiers, ({ create }) => create(context)),
    probes: createProbes({ ...context, deploys }),
    operators: configuration.operators,
    turns: createTurnGuard(join(data, 'turns', installation)),
    forgeFor: createForgeFor(
      forges,
      await byKind(configuredForges, ({ kind, create }) => create(context, configuration.forge[kind])),
    ),
    plansOfHost: (host: string) => plansOfHost(configuration, host),
    report: audit,
    ...redeliveryOf(configuration, audit),
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

function registryCredentials({ registries }: Configuration, secrets: SecretResolver, env: Environment): CredentialsSource {
  const configured: CredentialsSource = async (host) => {
    const { username, password } = registries[host] ?? {};
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
