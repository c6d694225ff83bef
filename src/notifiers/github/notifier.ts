import { Refusal } from '../../domain/failures.ts';
import { isGitHubRepository } from '../../domain/github-repository.ts';
import { type Notice, noticeSentence, webAddress } from '../../domain/notice.ts';
import type { NoticeEvent } from '../../domain/plan.ts';
import { answeredWith } from '../../platform/github/errors.ts';
import { isOnBranch } from '../../platform/github/on-branch.ts';
import {
  type DeploymentState,
  type GitHubRepository,
  openRepository,
  payloadOf,
  reportDeployment,
} from '../../platform/github/repository.ts';
import type { Notifier, NotifierContext } from '../notifier.ts';

interface GitHubTarget {
  /** `owner/name`, one or several: where deployments may be made. */
  readonly repository?: string | readonly string[] | undefined;
  /** Whether they are made, too, where required checks of the commit have not passed. */
  readonly skipRequiredContexts?: boolean | undefined;
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
      const state = states[notice.event];
      if (stage === undefined || state === undefined || !isCommit(commit)) return undefined;
      const name = repositoryOf(target, notice);
      if (name === undefined) return undefined;
      const repository = await openRepository(clientFor, name);
      const key = `${name}#${stage}`;
      const known = thread?.[key] === undefined ? await findDeployment(repository, notice, stage, commit) : Number(thread[key]);
      // Nothing has been deployed that could be no more.
      if (known === undefined && state === 'inactive') return undefined;
      const id = known ?? (await createDeployment(repository, target, notice, stage, commit));
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

/**
 * A deployment runs workflows with the secrets of its repository, so it is made only where the configuration says, or where the job that
 * built the image has proven to be. What a payload says chooses among these, and nothing else.
 * @throws Refusal where the push names another one
 */
function repositoryOf({ repository = [] }: GitHubTarget, { sourceRepository, proven }: Notice): string | undefined {
  const configured = typeof repository === 'string' ? [repository] : repository;
  const path = sourceRepository?.replace(/^https:\/\/github\.com\//, '').replace(/(?:\.git)?\/?$/, '');
  const named = path !== undefined && isGitHubRepository(path) ? path : undefined;
  if (named === undefined) return configured.length === 1 ? configured[0] : undefined;
  const known = configured.find((each) => each.toLowerCase() === named.toLowerCase());
  if (known !== undefined) return known;
  if (proven?.by === 'token' && proven.fields.includes('sourceRepository')) return named;
  throw new Refusal(
    'NoticeRefused',
    `no deployment is made in ${named}, which the push names and nothing proves: list it in repository of notify.github, or let the job tell of its image with its OIDC token`,
  );
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

/** @throws Refusal where the commit is on no branch of the repository, or its required checks have not passed */
async function createDeployment(
  repository: GitHubRepository,
  target: GitHubTarget,
  { rollout, runId, service, image }: Notice,
  environment: string,
  commit: string,
): Promise<number> {
  const { octokit, named, fullName } = repository;
  if ((await isOnBranch(repository, commit)) === false) {
    throw new Refusal(
      'NoticeRefused',
      `no deployment is made of ${commit}, which is on no branch of ${fullName} (of the default one, those that end in it, and protected ones): it may be a fork's`,
    );
  }
  const asked = octokit.rest.repos.createDeployment({
    ...named,
    ref: commit,
    environment,
    description: `${service} ${image.tag}`.slice(0, longestDescription),
    payload: { rollout, run: runId },
    // The commit as it is: what is deployed is built already.
    auto_merge: false,
    ...(target.skipRequiredContexts && { required_contexts: [] }),
    transient_environment: false,
    production_environment: environment === 'production',
  });
  const { data } = await asked.catch((error: unknown) => {
    if (!answeredWith(error, 409)) throw error;
    const why = 'its required checks have not passed: notify.github makes it then only with skipRequiredContexts: true';
    throw new Refusal('NoticeRefused', `GitHub makes no deployment of ${commit} in ${fullName}, because ${why}`);
  });
  if ('id' in data) return data.id;
  throw new Error(`expected GitHub to make a deployment of ${commit} in ${fullName}, found: ${data.message}`);
}
