import { schema as published } from '@octokit/graphql-schema';
import { buildSchema, GraphQLError, type GraphQLSchema, graphql } from 'graphql';
import { authenticate } from './access.ts';
import { mergeability, reviewDecision } from './mergeability.ts';
import { ErrorReply, type Reply, visibleRepository } from './routing.ts';
import * as shapes from './shapes.ts';
import { type Account, now, type Pull, type Repository, refreshPulls, type World } from './state.ts';

/** GitHub's GraphQL API, as far as the merge queue: requests are run against GitHub's own schema, which refuses what it does not describe. */

let schema: GraphQLSchema | undefined;

interface Asking {
  readonly world: World;
  readonly account: Account;
}

/** GitHub answers 200, and says in the body what is wrong. */
export async function answerGraphql(world: World, authorization: string | undefined, body: unknown): Promise<Reply> {
  try {
    const account = authenticate(world, authorization);
    const { query = '', variables = {} } = body as { query?: string; variables?: Record<string, unknown> };
    schema ??= buildSchema(published.idl, { assumeValidSDL: true });
    const answer = await graphql({
      schema,
      source: query,
      variableValues: variables,
      rootValue: rootOf({ world, account }),
    });
    const errors = answer.errors?.map(({ message, path, extensions }) => ({
      ...(typeof extensions.type === 'string' ? { type: extensions.type } : {}),
      message,
      ...(path === undefined ? {} : { path }),
    }));
    return { status: 200, body: { data: answer.data ?? null, ...(errors === undefined ? {} : { errors }) } };
  } catch (error) {
    if (error instanceof ErrorReply) return error.reply;
    throw error;
  }
}

function rootOf(asking: Asking) {
  return {
    repository: async ({ owner, name }: { owner: string; name: string }) => {
      const repository = await repositoryOf(asking, owner, name);
      return {
        pullRequest: ({ number }: { number: number }) => {
          const pull = repository.pulls.find((candidate) => candidate.number === number);
          if (pull === undefined) throw problem('NOT_FOUND', `Could not resolve to a PullRequest with the number of ${number}.`);
          return pullNode(repository, pull);
        },
      };
    },
    enqueuePullRequest: ({ input }: { input: { pullRequestId: string; expectedHeadOid?: string } }) => enqueue(asking, input),
  };
}

async function repositoryOf({ world, account }: Asking, owner: string, repo: string): Promise<Repository> {
  try {
    const call = { world, account, parameters: { owner, repo }, query: new URLSearchParams(), body: undefined };
    const repository = visibleRepository(call);
    await refreshPulls(world, repository);
    return repository;
  } catch (error) {
    if (!(error instanceof ErrorReply)) throw error;
    throw problem('NOT_FOUND', `Could not resolve to a Repository with the name '${owner}/${repo}'.`);
  }
}

async function pullNode(repository: Repository, pull: Pull) {
  const { committer } = await repository.git.readCommit(pull.head);
  const kinds: Record<string, string> = {
    added_to_merge_queue: 'AddedToMergeQueueEvent',
    removed_from_merge_queue: 'RemovedFromMergeQueueEvent',
  };
  const queueEvents = pull.events.filter(({ event }) => event in kinds);
  return {
    id: shapes.nodeId('PullRequest', pull.id),
    isMergeQueueEnabled: repository.protections.get(pull.base)?.queue ?? false,
    isInMergeQueue: pull.queue !== undefined,
    reviewDecision: reviewDecision(repository, pull),
    headRef: pull.state === 'open' ? { target: { __typename: 'Commit', committedDate: committer.date } } : null,
    // Of the many kinds of events, only these two are asked for.
    timelineItems: ({ last }: { last: number }) => ({
      nodes: queueEvents
        .slice(-last)
        .map(({ event, at }) => ({ __typename: kinds[event], createdAt: at, reason: 'FAILED_CHECKS' })),
    }),
  };
}

async function enqueue({ world, account }: Asking, input: { pullRequestId: string; expectedHeadOid?: string }) {
  const found = findPull(world, input.pullRequestId);
  if (found === undefined)
    throw problem('NOT_FOUND', `Could not resolve to a node with the global id of '${input.pullRequestId}'`);
  const { repository, pull } = found;
  await refreshPulls(world, repository);
  if (account.permissions.contents !== 'write') throw problem('FORBIDDEN', 'Resource not accessible by personal access token');
  if (!repository.protections.get(pull.base)?.queue) throw problem('UNPROCESSABLE', 'The base branch has no merge queue');
  if (pull.state === 'closed') throw problem('UNPROCESSABLE', 'Pull request is closed');
  if (pull.queue !== undefined) throw problem('UNPROCESSABLE', 'Pull request is already in the queue');
  if (input.expectedHeadOid !== undefined && input.expectedHeadOid !== pull.head) {
    throw problem('UNPROCESSABLE', 'Head sha has changed');
  }
  await refuseUnlessMergeable(repository, pull);
  const entry = { id: shapes.nodeId('MergeQueueEntry', world.nextId()), by: account.login, at: now() };
  pull.queue = entry;
  const event = { id: world.nextId(), event: 'added_to_merge_queue', actor: account.login, subject: '', at: now() } as const;
  pull.events.push(event);
  world.announcePull('enqueued', repository, pull, account.login);
  return { mergeQueueEntry: { id: entry.id, position: 1, state: 'QUEUED', enqueuedAt: entry.at, jump: false, solo: false } };
}

async function refuseUnlessMergeable(repository: Repository, pull: Pull): Promise<void> {
  const queueAside = { ...repository, protections: new Map(repository.protections) };
  const protection = repository.protections.get(pull.base);
  if (protection) queueAside.protections.set(pull.base, { ...protection, queue: false });
  const { state } = await mergeability(queueAside, pull);
  if (state !== 'clean' && state !== 'unstable') throw problem('UNPROCESSABLE', 'Pull request is not in a mergeable state');
}

function findPull(world: World, id: string): { repository: Repository; pull: Pull } | undefined {
  for (const repository of world.repositories.values()) {
    const pull = repository.pulls.find((candidate) => shapes.nodeId('PullRequest', candidate.id) === id);
    if (pull !== undefined) return { repository, pull };
  }
  return undefined;
}

function problem(type: string, message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { type } });
}
