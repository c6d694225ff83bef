import type { Octokit } from 'octokit';
import { siteOfGitHub } from '../../domain/github-repository.ts';
import { memberOf } from '../../domain/json.ts';
import type { FetchedRemote } from '../forge.ts';

/** A repository as git clones it, with the token of the API's client: https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app */
export async function remoteOf(client: Octokit, repository: string): Promise<FetchedRemote> {
  const site = siteOfGitHub(String(client.request.endpoint.DEFAULTS.baseUrl));
  const token = memberOf(await client.auth({ type: 'installation' }), 'token');
  const url = `${site}/${repository}.git`;
  if (typeof token !== 'string') return { url, env: {} };
  const header = `Authorization: Basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;
  // In the environment, where no other user sees it, and for this site alone.
  return { url, env: { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: `http.${site}/.extraHeader`, GIT_CONFIG_VALUE_0: header } };
}
