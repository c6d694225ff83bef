import { createHash } from 'node:crypto';
import { buildPlanFor } from '../../../config/build-plans.ts';
import type { Configuration } from '../../../config/configuration.ts';
import { isRepositoryAt } from '../../../config/same-repository.ts';
import type { BuildCause } from '../../../contracts/messages.ts';
import type { BuildPlan } from '../../../domain/build.ts';
import { siteOfGitHub } from '../../../domain/github-repository.ts';
import { Problem } from '../../../http/problem.ts';
import { gitHubSettings } from '../../../settings/github.ts';
import { matchesWildcard } from '../../../settings/image-pattern.ts';
import type { Job } from '../jobs.ts';

/** What a job may ask for: builds of its own repository, which others are told nothing of. */

type JobConfiguration = Pick<Configuration, 'builds' | 'forge' | 'login'>;

/** What of a request the rules for jobs are about. */
interface AskedBuild {
  readonly name: string;
  readonly ref?: string | undefined;
  readonly dryRun?: boolean | undefined;
}

/** @throws Problem 403: the same whether there is no such build, or it is of another repository */
export function requireOwnBuild(configuration: JobConfiguration, name: string, job: Job): BuildPlan {
  const plan = buildPlanFor(configuration, name);
  const site = siteOfGitHub(gitHubSettings(configuration.forge)?.url);
  if (plan !== undefined && isRepositoryAt(plan.source.repository, job.address, site)) return plan;
  throw forbidden(
    `A job has to do with builds of its own repository alone. Expected a build named ${name} with ${job.repository} as its source (source.git in builds), found none.`,
  );
}

/** @throws Problem 403 */
export function requireAllowedBuild(configuration: JobConfiguration, { name, ref, dryRun = false }: AskedBuild, job: Job): void {
  const { source } = requireOwnBuild(configuration, name, job);
  if (ref !== undefined && ref !== job.commit)
    throw forbidden(`A job has its own commit built. Expected ${job.commit} as ref, or none.`);
  const refs = configuration.login.jobs?.refs ?? [`refs/heads/${source.branch}`];
  if (dryRun || refs.some((pattern) => matchesWildcard(pattern, job.ref))) return;
  throw forbidden(
    `A job of ${job.ref} may do dry runs alone. Expected dryRun: true, or a job of ${refs.join(' or ')} (login.jobs.refs).`,
  );
}

/**
 * Why it is built. Whatever the same attempt asks for in the same words is the same, so that it can be sent again by whoever had no answer.
 * @param key of several in the same words that are several all the same
 */
export function causeOfJob(job: Job, body: object, key: string): Partial<BuildCause> {
  const hash = createHash('sha256')
    .update(JSON.stringify([job.repository, body, key]))
    .digest('hex')
    .slice(0, 16);
  return { source: 'job', deliveryId: `job-${job.run}-${hash}`, ...job.actor };
}

function forbidden(detail: string): Problem {
  return new Problem(403, 'forbidden', detail);
}
