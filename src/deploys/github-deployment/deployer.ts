import { Refusal } from '../../domain/failures.ts';
import { isDigest } from '../../domain/image-reference.ts';
import type { Deployed, RunningImage } from '../../domain/outcomes.ts';
import { payloadOf } from '../../platform/github/deployments.ts';
import { type GitHubRepository, openRepository } from '../../platform/github/repository.ts';
import type { Deployer, Target, Work } from '../deploy.ts';
import type { GitHubDeployerDependencies } from '../github-workflow/deployer.ts';
import { imageBefore, referenceOf, runningOf, type WantedImage } from '../kit/github-image.ts';
import { poll, usualPolling } from '../kit/github-polling.ts';
import type { DeploymentDeployPlan } from './plan.ts';

type DeploymentTarget = Target<DeploymentDeployPlan>;

interface CreatedDeployment {
  readonly id: number;
  readonly created_at: string;
}

/** A deployment's status, as far as it matters here. */
interface DeploymentStatus {
  readonly state: string;
  readonly log_url?: string;
  readonly target_url: string;
  readonly description: string;
}

/** GitHub's clock and Temporal's may differ by so much. */
const clockSkewMs = 10_000;
const pageSize = 100;
/** How many deployments of an environment are looked at to find what runs there: each costs a request. */
const mostLookedAt = 10;

/**
 * Deploys by a Deployment at GitHub: a system that listens to the event `deployment` deploys and reports a status. The payload
 * names rollout, service, image and digest.
 */
export function createDeploymentDeployer({
  clientFor,
  polling = usualPolling,
}: GitHubDeployerDependencies): Deployer<DeploymentDeployPlan> {
  const open = ({ deploy: { repository } }: DeploymentTarget) => openRepository(clientFor, repository);

  async function deploy(target: DeploymentTarget, image: WantedImage, work: Work): Promise<Deployed> {
    const repository = await open(target);
    const since = work.since ?? Date.now();
    const { environment, timeoutMs } = target.deploy;
    const found = await findDeployment(repository, target, image, since);
    if (found === undefined) {
      const running = await runningThere(repository, target);
      if (running.some(({ digest }) => digest === image.digest)) {
        return { kind: 'deployed', changed: false, running, text: `${environment} has it already` };
      }
    }
    const { id, created_at } = found ?? (await createDeployment(repository, target, image));
    const look = () => outcomeOf(repository, id, work.signal);
    const until = Date.parse(created_at) + timeoutMs;
    const status = await poll(look, () => until, polling, work.signal);
    const where = `deployment ${id} of ${target.deploy.repository} to ${environment}`;
    if (status?.state === 'success') {
      return { kind: 'deployed', changed: true, running: [runningOf(environment, image)], text: `${where} succeeded` };
    }
    const outcome =
      status === undefined ? `nothing final within ${timeoutMs / 1000} s` : `${status.state} ${status.description}`.trim();
    const url = status?.log_url || status?.target_url || `the deployments of ${target.deploy.repository}`;
    throw new Refusal('DeployFailed', `expected ${where} to succeed, found ${outcome.slice(0, 300)}: look at ${url}`);
  }

  return {
    running: async (target) => runningThere(await open(target), target),
    deploy: (target, work) => deploy(target, target.image, work),
    restore: async (target, before, work) => deploy(target, imageBefore(target, before), work),
    settle: async () => undefined,
  };
}

/** The one that an earlier try of this step made. */
async function findDeployment(
  { octokit, named }: GitHubRepository,
  { deploy: { environment }, rollout }: DeploymentTarget,
  { digest }: WantedImage,
  since: number,
): Promise<CreatedDeployment | undefined> {
  const { data } = await octokit.rest.repos.listDeployments({ ...named, environment, per_page: pageSize });
  return data.find((deployment) => {
    const payload = payloadOf(deployment);
    const isOurs = payload.rollout === rollout && payload.digest === digest;
    return isOurs && Date.parse(deployment.created_at) >= since - clockSkewMs;
  });
}

async function createDeployment(
  { octokit, named }: GitHubRepository,
  { deploy: { ref, environment }, plan, stage, rollout }: DeploymentTarget,
  image: WantedImage,
): Promise<CreatedDeployment> {
  try {
    const { data } = await octokit.rest.repos.createDeployment({
      ...named,
      ref,
      environment,
      description: `${plan.service} ${image.tag ?? image.digest.slice(0, 19)}`.slice(0, 140),
      payload: { rollout, service: plan.service, stage: stage.name, image: referenceOf(image), digest: image.digest },
      // Landfall has checked what has to be checked; the ref is deployed as it is.
      auto_merge: false,
      required_contexts: [],
    });
    if ('id' in data) return data;
    throw new Error(`expected GitHub to make a deployment of ${ref} to ${environment}, found: ${data.message}`);
  } catch (error) {
    if (!(error instanceof Refusal) || error.type !== 'ForgeRefused') throw error;
    throw new Refusal('DeployRefused', `no deployment of ${ref} to ${environment} was made: ${error.message}`, [], {
      cause: error,
    });
  }
}

/** The newest status, if it is a final one. */
async function outcomeOf(
  { octokit, named }: GitHubRepository,
  id: number,
  signal: AbortSignal,
): Promise<DeploymentStatus | undefined> {
  const { data } = await octokit.rest.repos.listDeploymentStatuses({
    ...named,
    deployment_id: id,
    per_page: 1,
    request: { signal },
  });
  const [newest] = data;
  return newest !== undefined && ['success', 'failure', 'error', 'inactive'].includes(newest.state) ? newest : undefined;
}

/** What the newest successful deployment brought there; nothing where that was not one of Landfall's, or of another service. */
async function runningThere(
  repository: GitHubRepository,
  { deploy: { environment }, plan }: DeploymentTarget,
): Promise<RunningImage[]> {
  const { octokit, named } = repository;
  const { data } = await octokit.rest.repos.listDeployments({ ...named, environment, per_page: pageSize });
  // Several services may share an environment.
  const ours = data.filter((deployment) =>
    [undefined, plan.service].includes(payloadOf(deployment).service as string | undefined),
  );
  for (const deployment of ours.slice(0, mostLookedAt)) {
    const status = await outcomeOf(repository, deployment.id, AbortSignal.timeout(60_000));
    if (status?.state !== 'success') continue;
    const { image, digest } = payloadOf(deployment);
    if (typeof image !== 'string' || typeof digest !== 'string' || !isDigest(digest)) return [];
    return [{ name: environment, reference: image, digest }];
  }
  return [];
}
