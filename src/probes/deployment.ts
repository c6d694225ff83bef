import type { Octokit } from 'octokit';
import { messageOf } from '../domain/errors.ts';
import { RateLimit, Refusal } from '../domain/failures.ts';
import type { WatchPlan } from '../domain/plan.ts';
import type { ExpectedImage } from '../domain/watch.ts';
import { answeredWith } from '../platform/github/errors.ts';
import { type GitHubRepository, ifExists, openRepository, payloadOf } from '../platform/github/repository.ts';
import type { ProbeAnswer } from './answer.ts';

export interface DeploymentProof {
  /**
   * Asks GitHub, at most every 15 seconds; once it is proven, no more. A deployment that is in progress, missing or superseded is no answer.
   * @throws Refusal if GitHub says no, and the signal's reason
   */
  ask(signal: AbortSignal): Promise<ProbeAnswer>;
}

type ListedDeployment = Awaited<ReturnType<Octokit['rest']['repos']['listDeployments']>>['data'][number];

/** Each check costs a few requests, of 5,000 an hour. */
const askAgainMs = 15_000;
const looksBack = 30;

/**
 * The proof by a deployment at GitHub: the newest one of the environment that is about the expected image has succeeded. It is about it
 * where its payload or description names the digest, or its commit is the image's revision, that of the merge, or one that came after it.
 */
export function createDeploymentProof(
  clientFor: (repository: string) => Promise<Octokit>,
  { repository, environment }: NonNullable<WatchPlan['deployment']>,
  expected: ExpectedImage & { readonly commit?: string | undefined },
): DeploymentProof {
  const name = `deployment of ${repository} to ${environment}`;
  const descends = new Map<string, boolean>();
  let known: ProbeAnswer | undefined;
  let askAt = 0;

  async function look(signal: AbortSignal): Promise<ProbeAnswer> {
    const opened = await openRepository(clientFor, repository);
    const { octokit, named } = opened;
    const request = { signal };
    const listed = await octokit.rest.repos.listDeployments({ ...named, environment, per_page: looksBack, request });
    // Newest first, as GitHub lists them; ids rise.
    for (const deployment of listed.data.toSorted((a, b) => b.id - a.id)) {
      if (!(await isAbout(opened, deployment, signal))) continue;
      const { id: deployment_id } = deployment;
      const statuses = await octokit.rest.repos.listDeploymentStatuses({ ...named, deployment_id, per_page: 30, request });
      const [newest] = statuses.data.toSorted((a, b) => b.id - a.id);
      return answerFor(`${name} (${deployment_id})`, newest);
    }
    return { kind: 'none', text: `no ${name} is about this image yet` };
  }

  async function isAbout(opened: GitHubRepository, deployment: ListedDeployment, signal: AbortSignal): Promise<boolean> {
    const { sha, description } = deployment;
    const payload = payloadOf(deployment);
    // Deployments that Landfall itself creates to inform people prove nothing.
    if (payload.rollout !== undefined && payload.digest === undefined) return false;
    const said = `${JSON.stringify(payload)} ${description ?? ''}`;
    if (said.includes(expected.digest) || sha === expected.revision || sha === expected.commit) return true;
    // A deployment that names another image is about that image, even if its commit matches.
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
        // A refusal is final, except for a commit that GitHub does not know yet (422).
        else if (error instanceof Refusal && !answeredWith(error, 422)) throw error;
        known = { kind: 'none', text: `GitHub did not say how the ${name} went: ${messageOf(error)}` };
      }
      return known;
    },
  };
}

function answerFor(name: string, status: { readonly state: string; readonly description: string } | undefined): ProbeAnswer {
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
