import type { Octokit } from 'octokit';
import { messageOf } from '../domain/errors.ts';
import { RateLimit, Refusal } from '../domain/failures.ts';
import type { WatchPlan } from '../domain/plan.ts';
import type { ExpectedImage } from '../domain/watch-version.ts';
import { payloadOf } from '../platform/github/deployments.ts';
import { answeredWith } from '../platform/github/errors.ts';
import { type GitHubRepository, ifExists, openRepository } from '../platform/github/repository.ts';
import type { Answer } from './answer.ts';

export interface DeploymentProof {
  /** Asks GitHub, at most every 15 seconds; once it is proven, no more. */
  ask(signal: AbortSignal): Promise<Answer>;
}

type ListedDeployment = Awaited<ReturnType<Octokit['rest']['repos']['listDeployments']>>['data'][number];

/** Each look costs one request and a few more, of 5000 an hour. */
const askAgainMs = 15_000;
const looksBack = 30;

/**
 * The proof by a deployment at GitHub: the newest one of the environment that is about the expected image has succeeded. It is about it
 * where its payload or description names the digest, or its commit is the image's revision, the commit of the merge, or one that came
 * after the merge.
 *
 * A deployment that failed is an answer; one that is under way, missing, or replaced by another is none yet.
 * `ask` throws a `Refusal` where GitHub says no, and the signal's reason.
 */
export function createDeploymentProof(
  clientFor: (repository: string) => Promise<Octokit>,
  { repository, environment }: NonNullable<WatchPlan['deployment']>,
  expected: ExpectedImage,
): DeploymentProof {
  const name = `deployment of ${repository} to ${environment}`;
  const descends = new Map<string, boolean>();
  let known: Answer | undefined;
  let askAt = 0;

  async function look(signal: AbortSignal): Promise<Answer> {
    const opened = await openRepository(clientFor, repository);
    const { octokit, named } = opened;
    const request = { signal };
    const listed = await octokit.rest.repos.listDeployments({ ...named, environment, per_page: looksBack, request });
    // Newest first, as GitHub lists them; ids rise.
    for (const deployment of [...listed.data].sort((a, b) => b.id - a.id)) {
      if (!(await isAbout(opened, deployment, signal))) continue;
      const { id: deployment_id } = deployment;
      const statuses = await octokit.rest.repos.listDeploymentStatuses({ ...named, deployment_id, per_page: 30, request });
      const [newest] = [...statuses.data].sort((a, b) => b.id - a.id);
      return standing(`${name} (${deployment_id})`, newest);
    }
    return { kind: 'none', text: `no ${name} is about this image yet` };
  }

  async function isAbout(opened: GitHubRepository, deployment: ListedDeployment, signal: AbortSignal): Promise<boolean> {
    const { sha, description } = deployment;
    const payload = payloadOf(deployment);
    // What Landfall itself reports to people there is no proof for Landfall.
    if (payload.rollout !== undefined && payload.digest === undefined) return false;
    const said = `${JSON.stringify(payload)} ${description ?? ''}`;
    if (said.includes(expected.digest) || sha === expected.revision || sha === expected.commit) return true;
    // One that names another image is about that one, whatever its commit is.
    if (expected.commit === undefined || /sha256:[0-9a-f]{64}/.test(said)) return false;
    const isAfter = descends.get(sha) ?? (await comesAfter(opened, expected.commit, sha, signal));
    descends.set(sha, isAfter);
    return isAfter;
  }

  return {
    async ask(signal) {
      if (known !== undefined && (known.kind === 'good' || performance.now() < askAt)) return known;
      askAt = performance.now() + askAgainMs;
      try {
        known = await look(signal);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof RateLimit) askAt = performance.now() + Math.max(askAgainMs, error.until.getTime() - Date.now());
        else if (isRefusal(error)) throw error;
        known = { kind: 'none', text: `GitHub did not say how the ${name} went: ${messageOf(error)}` };
      }
      return known;
    },
  };
}

/** What GitHub says no to stays so; a commit that it does not know (422) does not. */
function isRefusal(error: unknown): boolean {
  return error instanceof Refusal && !answeredWith(error, 422);
}

function standing(name: string, status: { readonly state: string; readonly description: string } | undefined): Answer {
  if (status === undefined) return { kind: 'none', text: `${name} has no status yet` };
  const { state, description } = status;
  if (state === 'success') return { kind: 'good', text: `${name} succeeded` };
  if (state === 'failure' || state === 'error') return { kind: 'refused', text: `${name} failed: ${description || state}` };
  return { kind: 'none', text: `${name} is ${state}` };
}

async function comesAfter(opened: GitHubRepository, commit: string, sha: string, signal: AbortSignal): Promise<boolean> {
  const { octokit, named } = opened;
  const basehead = `${commit}...${sha}`;
  const compared = await ifExists(opened, () =>
    octokit.rest.repos.compareCommitsWithBasehead({ ...named, basehead, per_page: 1, request: { signal } }),
  );
  return compared !== undefined && ['ahead', 'identical'].includes(compared.data.status);
}
