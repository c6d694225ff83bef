import { isDeepStrictEqual } from 'node:util';
import type { GitHubSettings } from '../config/configuration.ts';
import { createGitHubClients, type GitHubClients, type GitHubCredentials } from '../platform/github/client.ts';
import type { SecretResolver } from '../settings/secrets.ts';

/**
 * Clients by the configured credentials, made when first asked for, and anew as soon as a secret's file holds another one. A host that
 * only deploys has no need of them.
 */
export function connectGitHub(settings: GitHubSettings, secrets: SecretResolver): GitHubClients {
  const { url } = settings;
  const create = (credentials: GitHubCredentials) => createGitHubClients(credentials, { ...(url !== undefined && { url }) });
  let known: { readonly credentials: GitHubCredentials; readonly clients: GitHubClients } | undefined;
  return {
    async clientFor(repository) {
      const credentials = gitHubCredentials(settings, secrets);
      if (known === undefined || !isDeepStrictEqual(credentials, known.credentials)) {
        known = { credentials, clients: create(credentials) };
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
