import { isGitHubRepository } from '../../domain/github-repository.ts';
import { type Notice, noticeSentence, webAddress } from '../../domain/notice.ts';
import type { NoticeEvent } from '../../domain/plan.ts';
import {
  type DeploymentState,
  type GitHubRepository,
  openRepository,
  payloadOf,
  reportDeployment,
} from '../../platform/github/repository.ts';
import type { Notifier, NotifierContext } from '../notifier.ts';

interface GitHubTarget {
  /** `owner/name`, where the push names no source repository. */
  readonly repository?: string;
}

/** GitHub refuses longer descriptions. */
const longestDescription = 140;
const pageSize = 100;

/** What a stage has of the image, by GitHub's words. `inactive`: this deployment is not what runs. */
const states: Readonly<Partial<Record<NoticeEvent, DeploymentState>>> = {
  proposed: 'queued',
  approval: 'pending',
  deploying: 'in_progress',
  healthy: 'success',
  delivered: 'success',
  unhealthy: 'failure',
  failed: 'failure',
  blocked: 'error',
  'rolled-back': 'inactive',
  rejected: 'inactive',
  superseded: 'inactive',
  expired: 'inactive',
  aborted: 'inactive',
};

/** A Deployment on the source commit for each stage, and its status as the rollout goes on. */
export function createGitHubNotifier({ clientFor }: Pick<NotifierContext, 'clientFor'>): Notifier<GitHubTarget> {
  return {
    async send({ target, notice, thread }) {
      const { stage, commit } = notice;
      const name = repositoryOf(target, notice);
      const state = states[notice.event];
      if (stage === undefined || name === undefined || state === undefined || !isCommit(commit)) return undefined;
      const repository = await openRepository(clientFor, name);
      const key = `${name}#${stage}`;
      const known = thread?.[key] === undefined ? await findDeployment(repository, notice, stage, commit) : Number(thread[key]);
      // Nothing has been deployed that could be no more.
      if (known === undefined && state === 'inactive') return undefined;
      const id = known ?? (await createDeployment(repository, notice, stage, commit));
      const url = notice.proposal === undefined ? undefined : webAddress(notice.proposal);
      await reportDeployment(repository, id, {
        state,
        description: noticeSentence(notice, longestDescription),
        ...(url !== undefined && { log_url: url }),
      });
      return { ...thread, [key]: String(id) };
    },
  };
}

function isCommit(text: string | undefined): text is string {
  return text !== undefined && /^[0-9a-f]{7,64}$/.test(text);
}

/** That of the push, where it names one at GitHub; else the configured one. */
function repositoryOf(target: GitHubTarget, { sourceRepository }: Notice): string | undefined {
  const path = sourceRepository?.replace(/^https:\/\/github\.com\//, '').replace(/(?:\.git)?\/?$/, '');
  return path !== undefined && isGitHubRepository(path) ? path : target.repository;
}

/** One that an earlier notice of this run made, though its answer was lost. */
async function findDeployment(
  { octokit, named }: GitHubRepository,
  { rollout, runId }: Notice,
  environment: string,
  commit: string,
): Promise<number | undefined> {
  const { data } = await octokit.rest.repos.listDeployments({ ...named, ref: commit, environment, per_page: pageSize });
  const ours = data.find((deployment) => {
    const payload = payloadOf(deployment);
    return payload.rollout === rollout && payload.run === runId;
  });
  return ours?.id;
}

async function createDeployment(
  { octokit, named, fullName }: GitHubRepository,
  { rollout, runId, service, image }: Notice,
  environment: string,
  commit: string,
): Promise<number> {
  const { data } = await octokit.rest.repos.createDeployment({
    ...named,
    ref: commit,
    environment,
    description: `${service} ${image.tag}`.slice(0, longestDescription),
    payload: { rollout, run: runId },
    // The commit as it is, whatever else the repository would like to see first: Landfall reports what it does, and asks nobody.
    auto_merge: false,
    required_contexts: [],
    transient_environment: false,
    production_environment: environment === 'production',
  });
  if ('id' in data) return data.id;
  throw new Error(`expected GitHub to make a deployment of ${commit} in ${fullName}, found: ${data.message}`);
}
