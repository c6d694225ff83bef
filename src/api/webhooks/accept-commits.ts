import type { Client } from '@temporalio/client';
import { buildPlansOfPush } from '../../config/build-plans.ts';
import type { Configuration } from '../../config/configuration.ts';
import { shortHash } from '../../config/names.ts';
import { isSameRepository } from '../../config/same-repository.ts';
import { buildSearchOptions } from '../../contracts/start-options.ts';
import type { CommitPush } from '../../sources/kit/source.ts';
import type { AcceptedPush } from './accept-pushes.ts';
import { orUnavailable, type TemporalCalls } from './unavailable.ts';

export interface CommitDependencies extends TemporalCalls {
  readonly client: Client;
  /** Read again, it is another one. */
  readonly current: { readonly configuration: Pick<Configuration, 'builds'> };
  readonly linkTo?: (id: string) => string;
}

export type AcceptCommits = (
  commits: CommitPush,
  about: { readonly source: string; readonly deliveryId: string; readonly receivedAt: string },
) => Promise<readonly AcceptedPush[]>;

/**
 * From a push of commits to a search for what is to be built of them. Which commit the branch has, the search asks the repository itself: what a
 * sender names might be anybody's. It returns once Temporal has the search.
 * @returns a function that throws Problem 503 if Temporal does not answer in time
 */
export function createAcceptCommits({ current, linkTo, ...dependencies }: CommitDependencies): AcceptCommits {
  const says = {
    logged: 'a push of commits could not be stored: Temporal did not take its search',
    detail: 'The push could not be stored, so nothing is built. Send it again later.',
  };
  return async ({ repositories, branch, before, after, actor }, { source, deliveryId, receivedAt }) => {
    const plans = buildPlansOfPush(current.configuration, branch, (repository) => isSameRepository(repository, repositories));
    if (plans.length === 0) return [];
    const cause = { source, deliveryId, receivedAt, ...(actor !== undefined && { actor }) };
    const told = { ...(before !== undefined && { before }), ...(after !== undefined && { after }) };
    const search = { plans, ref: branch, options: {}, cause, ...told };
    // Sent again, it is the same search.
    const options = buildSearchOptions(search, `${shortHash(`${repositories[0]} ${branch}`)}:${deliveryId}`);
    await orUnavailable(dependencies, says, () => dependencies.client.workflow.start('searchBuilds', options));
    const { workflowId: id } = options;
    return plans.map(({ name, image }) => ({ id, service: name, image, ...(linkTo && { link: linkTo(id) }) }));
  };
}
