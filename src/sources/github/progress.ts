import { z } from 'zod';
import { isGitHubRepository } from '../../domain/github-repository.ts';
import { isObject, jsonIn, listOf, part, present, printableLine, texts } from '../kit/reading.ts';
import type { ParsedRequest } from '../kit/source.ts';

/*
 * Events of a deployment repository that say that a change or a deployment has moved. Only what is over is passed on: nobody waits for
 * something to begin. Nothing here is an error.
 */
const pullRequest = part({ head: part({ ...texts('ref'), repo: part(texts('full_name')) }) });
const pullRequests = listOf(pullRequest);

const eventSchema = z.object({
  ...texts('action', 'context', 'state'),
  repository: part(texts('full_name')),
  check_suite: part({ ...texts('head_branch'), pull_requests: pullRequests }),
  check_run: part({ check_suite: part(texts('head_branch')), pull_requests: pullRequests }),
  branches: listOf(part(texts('name'))),
  pull_request: pullRequest,
  review: part(texts('state')),
  deployment: part({ ...texts('ref'), payload: z.unknown().optional() }),
  deployment_status: part(texts('state')),
});
type ProgressEventBody = z.infer<typeof eventSchema>;

/** How one kind of event is read. */
interface ProgressEvent {
  /** Why nothing can have moved; undefined where something may have. */
  whyNot(body: ProgressEventBody): string | undefined;
  /** What happened, in a word that is known beforehand. */
  word(body: ProgressEventBody): string;
  branches(body: ProgressEventBody): readonly (string | undefined)[];
}

const completed: Pick<ProgressEvent, 'whyNot' | 'word'> = {
  whyNot: ({ action }) => (action === 'completed' ? undefined : 'expected the action completed'),
  word: () => 'completed',
};

const ofPullRequest: Pick<ProgressEvent, 'word' | 'branches'> = {
  word: ({ action }) => String(action),
  branches: ({ pull_request: at }) => [at?.head?.ref],
};

/** A draft that is ready, and one that fell out of a merge queue, can be merged again; titles and labels change nothing. */
const movingActions = ['closed', 'reopened', 'synchronize', 'ready_for_review', 'dequeued'];
const finalStates = ['success', 'failure', 'error'];
const decidingReviews = ['approved', 'changes_requested', 'dismissed'];

const readings: Readonly<Record<string, ProgressEvent>> = {
  check_suite: { ...completed, branches: ({ check_suite: at }) => [at?.head_branch, ...headsOf(at?.pull_requests)] },
  check_run: { ...completed, branches: ({ check_run: at }) => [at?.check_suite?.head_branch, ...headsOf(at?.pull_requests)] },
  status: {
    whyNot: ({ context, state }) => {
      // What Landfall says about its own proposals comes back to it.
      if (context?.startsWith('landfall/')) return 'Landfall itself set this status';
      return whyNotOneOf('state', state, finalStates);
    },
    word: ({ state }) => `became ${state}`,
    branches: ({ branches }) => branches.map((branch) => branch?.name),
  },
  pull_request: { ...ofPullRequest, whyNot: (body) => whyNotOneOf('action', body.action, movingActions) ?? whyNotOurs(body) },
  pull_request_review: {
    ...ofPullRequest,
    whyNot: (body) =>
      whyNotOneOf('action', body.action, ['submitted', 'dismissed']) ??
      whyNotOneOf('review', body.review?.state?.toLowerCase(), decidingReviews) ??
      whyNotOurs(body),
  },
  deployment_status: {
    whyNot: ({ deployment_status: status }) => whyNotOneOf('state', status?.state, finalStates),
    word: ({ deployment_status: status }) => `became ${status?.state}`,
    branches: ({ deployment }) => [deployment?.ref],
  },
};

export const progressEvents: readonly string[] = Object.keys(readings);

/**
 * What an event of a deployment repository says.
 * @param body a JSON object
 * @returns undefined for events that never say that something moved
 */
export function readProgressEvent(event: string, body: object): Partial<ParsedRequest> | undefined {
  const reading = Object.hasOwn(readings, event) ? readings[event] : undefined;
  if (reading === undefined) return undefined;
  const parsed = eventSchema.parse(body);
  const seen = present({ action: printableLine(parsed.action, 40) });
  const reason = reading.whyNot(parsed);
  if (reason !== undefined) return { ...seen, ignored: reason };
  const repository = parsed.repository?.full_name;
  if (repository === undefined || !isGitHubRepository(repository)) return { ...seen, ignored: 'it names no repository' };
  const branches = [...new Set(reading.branches(parsed).filter(isOurBranch))].slice(0, mostBranches);
  const rollout = rolloutIn(parsed.deployment?.payload);
  if (branches.length === 0 && rollout === undefined) return { ...seen, ignored: 'it is about no branch of Landfall’s' };
  const what = `${event} of ${repository} ${reading.word(parsed)}`;
  return { ...seen, progress: { what, repository, branches, ...present({ rollout }) } };
}

/** GitHub names at most ten branches of a status. */
const mostBranches = 10;

/** Service and stage have at most 99 and 49 characters, in this alphabet. */
function isOurBranch(name: string | undefined): name is string {
  return name !== undefined && /^landfall\/[A-Za-z0-9._-]{1,200}$/.test(name);
}

/** GitHub hands a payload on as it was given: as an object, or as JSON text. */
function rolloutIn(payload: unknown): string | undefined {
  const given = typeof payload === 'string' ? jsonIn(payload) : payload;
  if (!isObject(given) || !('rollout' in given)) return undefined;
  const { rollout } = given;
  return typeof rollout === 'string' && /^(?:rollout|rollback):[\w.:-]{1,240}$/.test(rollout) ? rollout : undefined;
}

/** A fork may have a branch of the same name. */
function whyNotOurs({ pull_request: at, repository }: ProgressEventBody): string | undefined {
  const from = at?.head?.repo?.full_name?.toLowerCase();
  return from !== undefined && from === repository?.full_name?.toLowerCase() ? undefined : 'the pull request comes from a fork';
}

function headsOf(pulls: z.infer<typeof pullRequests> = []): (string | undefined)[] {
  return pulls.map((pull) => pull?.head?.ref);
}

function whyNotOneOf(field: string, found: string | undefined, expected: readonly string[]): string | undefined {
  return found !== undefined && expected.includes(found) ? undefined : `expected the ${field} ${expected.join(' or ')}`;
}
