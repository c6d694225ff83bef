import type { Log } from '../../domain/log.ts';
import type { Proposal } from '../../domain/outcomes.ts';
import { answeredWith } from '../../platform/github/errors.ts';
import type { GitHubRepository, PullRequest } from '../../platform/github/repository.ts';
import type { ChangeRequest } from '../forge.ts';
import { addPeople } from './people.ts';

/** One open pull request a branch and base: found, or made; then with title, body, labels and people as they should be. */
export async function openChange(repository: GitHubRepository, change: ChangeRequest, log: Pick<Log, 'warn'>): Promise<Proposal> {
  const pull = (await findOpen(repository, change)) ?? (await create(repository, change));
  await updateTexts(repository, change, pull);
  await addPeople(repository, change, pull, log);
  return {
    kind: 'pull-request',
    url: pull.html_url,
    number: pull.number,
    branch: change.branch,
    base: change.base,
    head: change.head,
  };
}

async function findOpen({ octokit, named }: GitHubRepository, { branch, base }: ChangeRequest): Promise<PullRequest | undefined> {
  const { data } = await octokit.rest.pulls.list({
    ...named,
    state: 'open',
    head: `${named.owner}:${branch}`,
    base,
    per_page: 100,
  });
  // GitHub leaves a filter out if it does not understand it, and then lists what is not ours.
  return data.find(
    (pull) =>
      // By id: a repository that was renamed answers by its old name, too, and says the new one.
      pull.base.ref === base && pull.head.ref === branch && pull.head.repo?.id === pull.base.repo.id,
  );
}

async function create(repository: GitHubRepository, change: ChangeRequest): Promise<PullRequest> {
  const { octokit, named } = repository;
  const { branch, base, title, body } = change;
  try {
    return (await octokit.rest.pulls.create({ ...named, head: branch, base, title, body })).data;
  } catch (error) {
    if (!answeredWith(error, 422)) throw error;
    // Another try has made it since we looked; where not, GitHub's no is about something else.
    const made = await findOpen(repository, change);
    if (made === undefined) throw error;
    return made;
  }
}

async function updateTexts(
  { octokit, named }: GitHubRepository,
  { title, body }: ChangeRequest,
  pull: PullRequest,
): Promise<void> {
  if (pull.title === title && canonical(pull.body ?? '') === canonical(body)) return;
  await octokit.rest.pulls.update({ ...named, pull_number: pull.number, title, body });
}

/** GitHub's page sends bodies with other line ends than we do, and what ends a body may be trimmed. */
function canonical(text: string): string {
  return text.replaceAll('\r\n', '\n').trimEnd();
}
