import { type Diagnosed, fine, warning } from '../../domain/diagnosis.ts';
import { Refusal } from '../../domain/failures.ts';
import type { GitHubRepository } from '../../platform/github/repository.ts';

const needed = 'read and write Contents and Pull requests (classic token: repo)';

/** What the token or the App may do in a repository, as far as GitHub tells. @throws Refusal where that is too little for proposals */
export async function rightsIn({ octokit, named, fullName }: GitHubRepository): Promise<Diagnosed> {
  const { data, headers } = await octokit.rest.repos.get(named);
  if (data.archived) throw new Refusal('ForgeRefused', `${fullName} is archived: nothing can be proposed there; unarchive it`);
  if (data.permissions?.push === false)
    throw new Refusal('ForgeRefused', `may read ${fullName}, and not write there: let the token or the App ${needed}`);
  const scopes = headers['x-oauth-scopes'];
  const said = scopes ? ` (scopes ${scopes})` : '';
  if (data.permissions?.push !== true) return warning(`GitHub does not say whether we may write there: let us ${needed}`);
  return fine(`may read and write there${said}`);
}
