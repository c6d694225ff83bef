import { formatReference, isDigest } from '../../domain/image-reference.ts';
import type { Deployed, RunningImage } from '../../domain/outcomes.ts';
import { type GitHubRepository, openRepository, payloadOf } from '../../platform/github/repository.ts';
import type { Deployer, Target, Work } from '../deploy.ts';
import {
  clockSkewMs,
  type GitHubDeployerOptions,
  imageBefore,
  notBegun,
  poll,
  runningOf,
  usualPolling,
  type WantedImage,
} from '../kit/github.ts';
import { failed } from '../kit/refusals.ts';

export interface DeploymentDeployPlan {
  /** `owner/name` */
  readonly repository: string;
  readonly ref: string;
  readonly environment: string;
  readonly timeoutMs: number;
}

type DeploymentTarget = Target<DeploymentDeployPlan>;

/** How many deployments of an environment are looked at to find what runs there: each costs a request. */
const mostLookedAt = 10;

/**
 * Deploys by a Deployment at GitHub: a system that listens to the event `deployment` deploys and reports a status. The payload
 * names rollout, service, image and digest.
 */
export function createDeploymentDeployer({
  clientFor,
  polling = usualPolling,
}: GitHubDeployerOptions): Deployer<DeploymentDeployPlan> {
  async function deploy(target: DeploymentTarget, image: WantedImage, { signal, since = Date.now() }: Work): Promise<Deployed> {
    const { environment, timeoutMs, repository: name } = target.deploy;
    const repository = await openRepository(clientFor, name);
    const deployments = await deploymentsTo(repository, environment);
    // The one that an earlier try of this step made.
    const found = deployments.find((deployment) => {
      const { rollout, digest } = payloadOf(deployment);
      const isOurs = rollout === target.rollout && digest === image.digest;
      return isOurs && Date.parse(deployment.created_at) >= since - clockSkewMs;
    });
    if (found === undefined) {
      // One that came later may have changed something all the same, though it failed or was never reported.
      const running = await runningThere(repository, target, deployments, 1);
      if (running.some(({ digest }) => digest === image.digest)) {
        return { kind: 'deployed', changed: false, running, text: `${environment} has it already` };
      }
    }
    const { id, created_at } = found ?? (await createDeployment(repository, target, image));
    const look = () => outcomeOf(repository, id, signal);
    const until = Date.parse(created_at) + timeoutMs;
    const status = await poll(look, () => until, polling, signal);
    const where = `deployment ${id} of ${name} to ${environment}`;
    if (status?.state === 'success') {
      return { kind: 'deployed', changed: true, running: [runningOf(environment, image)], text: `${where} succeeded` };
    }
    const outcome =
      status === undefined ? `nothing final within ${timeoutMs / 1000} s` : `${status.state} ${status.description}`.trim();
    const url = status?.log_url || status?.target_url || `the deployments of ${name}`;
    throw failed(`expected ${where} to succeed, found ${outcome.slice(0, 300)}: look at ${url}`);
  }

  return {
    async running(target) {
      const { repository: name, environment } = target.deploy;
      const repository = await openRepository(clientFor, name);
      return runningThere(repository, target, await deploymentsTo(repository, environment));
    },
    deploy: (target, work) => deploy(target, target.image, work),
    restore: async (target, before, work) => deploy(target, imageBefore(target, before), work),
    settle: async () => undefined,
  };
}

/** Newest first. */
async function deploymentsTo({ octokit, named }: GitHubRepository, environment: string) {
  return (await octokit.rest.repos.listDeployments({ ...named, environment, per_page: 100 })).data;
}

async function createDeployment(
  { octokit, named }: GitHubRepository,
  { deploy: { ref, environment }, plan, stage, rollout }: DeploymentTarget,
  image: WantedImage,
) {
  try {
    const { data } = await octokit.rest.repos.createDeployment({
      ...named,
      ref,
      environment,
      description: `${plan.service} ${image.tag ?? image.digest.slice(0, 19)}`.slice(0, 140),
      payload: { rollout, service: plan.service, stage: stage.name, image: formatReference(image), digest: image.digest },
      // Landfall has checked what has to be checked; the ref is deployed as it is.
      auto_merge: false,
      required_contexts: [],
    });
    if ('id' in data) return data;
    throw new Error(`expected GitHub to make a deployment of ${ref} to ${environment}, found: ${data.message}`);
  } catch (error) {
    throw notBegun(error, (why) => `no deployment of ${ref} to ${environment} was made: ${why}`);
  }
}

/** The newest status, if it is a final one. */
async function outcomeOf({ octokit, named }: GitHubRepository, deployment_id: number, signal: AbortSignal) {
  const asked = { ...named, deployment_id, per_page: 1, request: { signal } };
  const { data } = await octokit.rest.repos.listDeploymentStatuses(asked);
  const [newest] = data;
  return newest !== undefined && ['success', 'failure', 'error', 'inactive'].includes(newest.state) ? newest : undefined;
}

/**
 * What the newest successful deployment brought there; nothing where that was not one of Landfall's, or of another service.
 * @param most so many of the newest are looked at
 */
async function runningThere(
  repository: GitHubRepository,
  { deploy: { environment }, plan }: DeploymentTarget,
  deployments: Awaited<ReturnType<typeof deploymentsTo>>,
  most = mostLookedAt,
): Promise<RunningImage[]> {
  // Several services may share an environment.
  const ours = deployments.filter((each) => [undefined, plan.service].includes(payloadOf(each).service as string | undefined));
  for (const deployment of ours.slice(0, most)) {
    const status = await outcomeOf(repository, deployment.id, AbortSignal.timeout(60_000));
    if (status?.state !== 'success') continue;
    const { image, digest } = payloadOf(deployment);
    if (typeof image !== 'string' || typeof digest !== 'string' || !isDigest(digest)) return [];
    return [{ name: environment, reference: image, digest }];
  }
  return [];
}
