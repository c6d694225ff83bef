import { createHash } from 'node:crypto';
import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import type Docker from 'dockerode';
import type { Logger } from 'pino';
import type { Dependencies } from '../activities/index.ts';
import { createArtifacts } from '../adapters/artifacts.ts';
import { connectDocker, readText } from '../adapters/docker/connect.ts';
import { workerReach } from '../adapters/docker/reach.ts';
import { createDockerCredentials } from '../adapters/docker-credentials.ts';
import { createGitForge } from '../adapters/forge/git.ts';
import { createGitHubForge } from '../adapters/forge/github.ts';
import { createForges } from '../adapters/forge/index.ts';
import { createGitHubClients, type GitHubClients } from '../adapters/github-client.ts';
import { type CredentialsSource, firstCredentials } from '../adapters/registry/credentials.ts';
import { createRegistry } from '../adapters/registry/registry.ts';
import { findTool } from '../adapters/tools.mjs';
import { createTrivy, trivyCommand } from '../adapters/trivy.ts';
import type { Configuration, GitHubSettings } from '../config/configuration.ts';
import type { Environment } from '../config/environment.ts';
import { createSecretResolver, type SecretResolver } from '../config/secrets.ts';
import { Refusal } from '../domain/failures.ts';
import type { Temporal } from './temporal.ts';

/** Everything that steps use of the outside world, built from the configuration. */
export async function createDependencies(
  configuration: Configuration,
  temporal: Temporal,
  env: Environment,
  log: Logger,
): Promise<Dependencies & { readonly docker: Docker; readonly workerId: string; readonly installation: string }> {
  const { directory, data, registries } = configuration;
  const secrets = createSecretResolver(env, directory);
  const plainHttp = (host: string): boolean => registries[host]?.plainHttp ?? false;
  const credentials = registryCredentials(configuration, secrets, env);
  const docker = connectDocker(dockerEnvironment(configuration, env));
  const clients = gitHubClients(configuration.forge.github, secrets);
  const git = createGitForge({ folder: join(data, 'git'), env });
  return {
    client: temporal.client,
    registry: createRegistry({ credentials, plainHttp }),
    trivy: createTrivy({
      ...configuration.trivy,
      command: trivyCommand({ configured: configuration.trivy.command, found: findTool('trivy', env) }),
      cacheDir: configuration.trivy.cacheDir ?? join(data, 'trivy'),
      plainHttp,
      credentials,
      env,
    }),
    artifacts: createArtifacts(configuration.artifacts),
    docker,
    secrets,
    credentials,
    baseDir: directory,
    workerId: `${hostname()}-${process.pid}`,
    installation: installationName(configuration, temporal),
    ...(await workerReach(docker, readText)),
    forgeFor: createForges({
      git,
      ...(clients !== undefined && { github: createGitHubForge({ clientFor: clients.clientFor, log }) }),
    }),
    clientFor: clients?.clientFor ?? refuseWithoutGitHub,
  };
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

function dockerEnvironment({ docker }: Configuration, env: Environment): Environment {
  return docker.host === undefined ? env : { ...env, DOCKER_HOST: docker.host };
}

function gitHubClients(settings: GitHubSettings | undefined, secrets: SecretResolver): GitHubClients | undefined {
  if (settings === undefined) return undefined;
  const { token, app, url } = settings;
  if (app !== undefined)
    return createGitHubClients({ app: { ...app, privateKey: secrets(app.privateKey) } }, { ...(url !== undefined && { url }) });
  return createGitHubClients({ token: secrets(token ?? '') }, { ...(url !== undefined && { url }) });
}

async function refuseWithoutGitHub(repository: string): Promise<never> {
  throw new Refusal(
    'ForgeRefused',
    `'${repository}' is on GitHub, and GitHub is not configured: add forge.github with a token or an app`,
  );
}

/** The same at every start, and different for every Landfall that shares this Docker daemon. */
function installationName({ temporal, data }: Configuration, { address, namespace }: Temporal): string {
  const identity = temporal.kind === 'embedded' ? `${hostname()}:${data}` : `${address}/${namespace}`;
  return createHash('sha256').update(identity).digest('hex').slice(0, 16);
}
