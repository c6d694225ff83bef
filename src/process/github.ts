import { isDeepStrictEqual } from 'node:util';
import { createGitHubClients, type GitHubClients, type GitHubCredentials } from '../adapters/github-client.ts';
import type { GitHubSettings } from '../config/configuration.ts';
import type { SecretResolver } from '../config/secrets.ts';

/** Clients by the configured credentials, made anew as soon as a secret's file holds another one. */
export function connectGitHub(settings: GitHubSettings, secrets: SecretResolver): GitHubClients {
  const { url } = settings;
  const create = (credentials: GitHubCredentials) => createGitHubClients(credentials, { ...(url !== undefined && { url }) });
  let known = gitHubCredentials(settings, secrets);
  let clients = create(known);
  return {
    async clientFor(repository) {
      const current = gitHubCredentials(settings, secrets);
      if (!isDeepStrictEqual(current, known)) {
        clients = create(current);
        known = current;
      }
      return await clients.clientFor(repository);
    },
  };
}

/** With what the references stand for now. @throws Refusal `SecretMissing` */
export function gitHubCredentials({ token = '', app }: GitHubSettings, secrets: SecretResolver): GitHubCredentials {
  if (app === undefined) return { token: secrets(token) };
  return { app: { ...app, id: secrets(app.id), privateKey: secrets(app.privateKey) } };
}
