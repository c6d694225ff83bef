import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { allPermissions, authenticate, authorize } from './access.ts';
import { type Fault, Faults, happen } from './faults.ts';
import { answerGraphql } from './graphql.ts';
import { type Description, gitHubDescription, type Operation } from './openapi.ts';
import { createRepository, type NewRepository, type PersonsCommit, pushCommit } from './people-at-work.ts';
import { type Person, personOf } from './person.ts';
import { actionsRoutes } from './routes/actions.ts';
import { appRoutes } from './routes/apps.ts';
import { checkRoutes, reportCheckRun } from './routes/checks.ts';
import { deploymentRoutes } from './routes/deployments.ts';
import { gitDatabaseRoutes } from './routes/git-database.ts';
import { headRunRoutes } from './routes/head-runs.ts';
import { hookRoutes } from './routes/hooks.ts';
import { mergePull, mergingRoutes } from './routes/merging.ts';
import { peopleRoutes } from './routes/people.ts';
import { pullRoutes } from './routes/pulls.ts';
import { repositoryRoutes } from './routes/repositories.ts';
import { rulesRoutes } from './routes/rules.ts';
import { type Call, ErrorReply, type Reply, type Routes, visibleRepository } from './routing.ts';
import {
  type Account,
  type App,
  type CheckRun,
  findRepository,
  type HeadRun,
  leaveQueue,
  now,
  type Pull,
  type Repository,
  refreshPulls,
  type World,
} from './state.ts';
import { type Delivery, Webhooks, type WebhookTarget } from './webhooks.ts';

const allRoutes: Routes = {
  ...gitDatabaseRoutes,
  ...repositoryRoutes,
  ...pullRoutes,
  ...mergingRoutes,
  ...peopleRoutes,
  ...checkRoutes,
  ...rulesRoutes,
  ...headRunRoutes,
  ...actionsRoutes,
  ...deploymentRoutes,
  ...hookRoutes,
  ...appRoutes,
};

export interface GitHubOptions {
  /** Which tokens are known besides `token` and `personToken`. */
  readonly tokens?: Readonly<Record<string, Account>>;
  readonly apps?: readonly App[];
  /** Who is told what happens. Absent: nobody, until `deliverTo`. */
  readonly webhooks?: WebhookTarget;
  /** How many requests are answered before the primary rate limit is reached; 5000 unless said otherwise. */
  readonly requestsPerHour?: number;
  /** To show that answers outside of GitHub's description are found: routes that replace those of the same operation. */
  readonly routes?: Routes;
}

export interface RecordedRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** `pulls/create`, or `graphql`; absent where GitHub has no such operation. */
  readonly operation?: string;
  readonly body?: unknown;
  /** 0 until it is answered, and where it never is. */
  status: number;
}

/** A token that may everything, of the user `landfall-bot`. */
export const token = 'ghp_landfall';
/** A token that may everything, of the user `octocat`: a person beside Landfall. */
export const personToken = 'ghp_octocat';

export interface GitHub {
  /** Base of the API, without a slash at the end. */
  readonly url: string;
  readonly requests: readonly RecordedRequest[];
  /** What was outside of GitHub's description of its API, so far. */
  readonly violations: readonly string[];
  /** @param fullName `owner/name` */
  createRepository(fullName: string, options?: NewRepository): Promise<Repository>;
  /** The state of a repository, to be looked at. */
  repository(fullName: string): Repository;
  /** The bare git repository's folder: `git clone`, `git push` and `git diff` work on it. */
  folder(fullName: string): string;
  /** A person pushes a commit; a branch that does not exist is made from the default branch. @returns its id */
  pushCommit(fullName: string, commit: PersonsCommit): Promise<string>;
  /** A CI job reports a check run. */
  reportCheckRun(fullName: string, run: Pick<CheckRun, 'sha' | 'name' | 'status' | 'conclusion'>): void;
  /** A workflow of GitHub Actions runs for a commit; a later run of the same workflow has a higher number. */
  reportActionsRun(fullName: string, run: Pick<HeadRun, 'sha' | 'name' | 'status' | 'conclusion'>): void;
  /** Somebody beside Landfall, who may do everything. */
  person(fullName: string, login: string): Person;
  /** The merge queue is done with a pull request: it is merged, or put out again. @returns the commit of the base */
  finishQueue(fullName: string, number: number, how: 'merged' | 'removed'): Promise<string | undefined>;
  /** Whom to tell what happens from now on; undefined: nobody. */
  deliverTo(target: WebhookTarget | undefined): void;
  /** Something happens that the emulator has no part in, and the webhook is told. @param members besides repository and sender */
  announce(fullName: string, event: string, members: object): void;
  /** What was told so far, in order; waits for what is on its way. */
  deliveries(): Promise<readonly Delivery[]>;
  addToken(token: string, account: Account): void;
  /** Asks the API as the person `octocat`. @returns status and body of the answer */
  ask(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }>;
  failNext(fault: Fault): void;
  /** Somebody else is quicker: `act` is done right before the next request of the operation (`git/update-ref`) is answered. */
  beforeNext(operation: string, act: () => Promise<unknown>): void;
  /** @throws where anything was outside of GitHub's description: the test that did it fails */
  stop(): Promise<void>;
}

/** A GitHub on a free loopback port, as far as its REST API is needed: a real git repository each, and GitHub's own rules around it. */
export async function startGitHub(options: GitHubOptions = {}): Promise<GitHub> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-github-'));
  const server = new GitHubServer(await gitHubDescription(), options);
  const http = createServer((request, response) => {
    server.handle(request, response).catch((error: unknown) => {
      // A client that is killed while it sends has asked for nothing.
      if (!request.complete) return;
      server.violations.push(`the emulator failed at ${request.method} ${request.url}: ${String(error)}`);
      response.destroy();
    });
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const { world, faults, requests, violations } = server;
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  world.url = url;
  return {
    url,
    requests,
    violations,
    createRepository: (fullName, repository) => createRepository(world, folder, fullName, repository),
    repository: (fullName) => findRepository(world, fullName),
    folder: (fullName) => findRepository(world, fullName).git.folder,
    async pushCommit(fullName, commit) {
      const repository = findRepository(world, fullName);
      const sha = await pushCommit(repository, commit);
      await refreshPulls(world, repository);
      return sha;
    },
    reportCheckRun: (fullName, run) => reportCheckRun(world, findRepository(world, fullName), run),
    reportActionsRun: (fullName, run) => {
      const { headRuns } = findRepository(world, fullName);
      const workflow = 1 + [...new Set([...headRuns.map(({ name }) => name), run.name])].indexOf(run.name);
      headRuns.push({ id: world.nextId(), number: headRuns.length + 1, workflow, at: now(), ...run });
    },
    person: (fullName, login) => personOf(world, fullName, login),
    finishQueue: (fullName, number, how) => finishQueue(world, findRepository(world, fullName), number, how),
    deliverTo: (target) => server.webhooks.deliverTo(target),
    announce: (fullName, event, members) =>
      world.announce(event, findRepository(world, fullName), 'octocat', async () => ({ ...members })),
    async deliveries() {
      await server.webhooks.settled();
      return server.webhooks.deliveries;
    },
    addToken: (added, account) => world.tokens.set(added, account),
    ask: (method, path, body) => ask(`${url}${path}`, method, body),
    failNext: (fault) => faults.add(fault),
    beforeNext: (operation, act) => server.interruptions.set(operation, act),
    async stop() {
      http.close();
      http.closeAllConnections();
      await server.answered();
      await server.webhooks.settled();
      for (const { git } of world.repositories.values()) git.close();
      await rm(folder, { recursive: true, force: true });
      if (violations.length > 0) throw new Error(`outside of GitHub's description of its API:\n${violations.join('\n')}`);
    },
  };
}

async function finishQueue(
  world: World,
  repository: Repository,
  number: number,
  how: 'merged' | 'removed',
): Promise<string | undefined> {
  const pull = repository.pulls.find((candidate: Pull) => candidate.number === number);
  if (pull?.queue === undefined) throw new Error(`pull request ${number} is not in the merge queue`);
  if (how === 'removed') {
    leaveQueue(world, pull);
    return undefined;
  }
  return mergePull(world, repository, pull, 'github-merge-queue[bot]', { merge_method: 'squash', commit_title: pull.title });
}

async function ask(url: string, method: string, body: unknown): Promise<{ status: number; body: unknown }> {
  const headers = { authorization: `Bearer ${personToken}` };
  const response = await fetch(url, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

class GitHubServer {
  readonly world: World;
  readonly faults = new Faults();
  readonly webhooks: Webhooks;
  readonly requests: RecordedRequest[] = [];
  readonly violations: string[] = [];
  /** What is done before the next request of an operation, by the operation. */
  readonly interruptions = new Map<string, () => Promise<unknown>>();
  readonly #description: Description;
  readonly #routes: Routes;
  readonly #limit: number;
  /** Requests are answered one after the other, so that looking and changing is one act, as in GitHub's own transactions. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(
    description: Description,
    { tokens = {}, apps = [], routes = {}, requestsPerHour = 5000, webhooks }: GitHubOptions,
  ) {
    this.#description = description;
    this.#routes = { ...allRoutes, ...routes };
    this.#limit = requestsPerHour;
    const hooks = new Webhooks(webhooks);
    this.webhooks = hooks;
    let id = 1000;
    this.world = {
      url: '',
      repositories: new Map(),
      tokens: new Map([
        [token, { login: 'landfall-bot', permissions: allPermissions }],
        [personToken, { login: 'octocat', permissions: allPermissions }],
        ...Object.entries(tokens),
      ]),
      apps: new Map(apps.map((app) => [app.id, app])),
      webhooks: hooks,
      nextId: () => {
        id += 1;
        return id;
      },
      announce(event, repository, sender, members) {
        hooks.announce(this, event, repository, sender, members);
      },
      announcePull(action, repository, pull, sender) {
        hooks.announcePull(this, action, repository, pull, sender);
      },
    };
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.world.url);
    const method = request.method ?? 'GET';
    const text = await bodyOf(request);
    const body: unknown = text === '' ? undefined : JSON.parse(text);
    const isGraphql = method === 'POST' && url.pathname === '/graphql';
    const operation = isGraphql ? undefined : this.#description.find(method, url.pathname);
    const recorded: RecordedRequest = {
      method,
      path: url.pathname,
      ...(operation ? { operation: operation.id } : {}),
      ...(isGraphql ? { operation: 'graphql' } : {}),
      body,
      status: 0,
    };
    this.requests.push(recorded);
    const fault = this.faults.take(method, url.pathname);
    const late = fault?.afterwards === true || fault?.cut === 'within';
    if (fault && !late) {
      recorded.status = happen(fault, response, '');
      return;
    }
    const reply = await this.#inTurn(() =>
      isGraphql
        ? answerGraphql(this.world, request.headers.authorization, body)
        : this.#reply(request, operation, url.searchParams, body),
    );
    const answer = reply.body === undefined ? '' : JSON.stringify(reply.body);
    if (fault) {
      recorded.status = happen(fault, response, answer);
      return;
    }
    recorded.status = reply.status;
    const type = { 'content-type': 'application/json; charset=utf-8' };
    response.writeHead(reply.status, { ...(answer === '' ? {} : type), ...this.#rateLimit(), ...reply.headers }).end(answer);
  }

  /** Resolves once nothing is being answered any more. */
  async answered(): Promise<void> {
    await this.#turn;
  }

  #inTurn<Result>(act: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(act);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** The answer, found to be within GitHub's description; 500 where it, or the request, is not. */
  async #reply(
    request: IncomingMessage,
    operation: Operation | undefined,
    query: URLSearchParams,
    body: unknown,
  ): Promise<Reply> {
    if (operation === undefined) return this.#violated(request, ['GitHub has no such operation']);
    const wrong = this.#description.problemsOfRequest(operation, query, body);
    if (wrong.length > 0) return this.#violated(request, wrong);
    const route = this.#routes[operation.id];
    if (route === undefined) return this.#violated(request, [`the emulator does not know ${operation.id} yet`]);
    const interrupt = this.interruptions.get(operation.id);
    this.interruptions.delete(operation.id);
    await interrupt?.();
    const { owner, repo } = operation.parameters;
    const fullName = owner === undefined ? undefined : `${owner}/${repo}`;
    const reply = await errorsAnswered(async () => {
      const account = authenticate(this.world, request.headers.authorization);
      if (this.requests.length > this.#limit) throw new ErrorReply(403, `API rate limit exceeded for ${account.login}.`);
      const call: Call = { world: this.world, account, parameters: operation.parameters, query, body };
      const repository = fullName === undefined ? undefined : visibleRepository(call);
      authorize(account, route, fullName);
      if (repository) await refreshPulls(this.world, repository);
      return route.answer(call);
    });
    const problems = this.#description.problemsOfAnswer(operation, reply.status, reply.body);
    return problems.length > 0 ? this.#violated(request, problems) : reply;
  }

  #violated(request: IncomingMessage, problems: readonly string[]): Reply {
    const violation = `${request.method} ${request.url}: ${problems.join('; ')}`;
    this.violations.push(violation);
    return { status: 500, body: { message: violation } };
  }

  #rateLimit(): Record<string, string> {
    const remaining = Math.max(0, this.#limit - this.requests.length);
    const reset = Math.ceil(Date.now() / 1000) + 3600;
    return {
      'x-ratelimit-limit': String(this.#limit),
      'x-ratelimit-remaining': String(remaining),
      'x-ratelimit-used': String(this.requests.length),
      'x-ratelimit-reset': String(reset),
      'x-ratelimit-resource': 'core',
    };
  }
}

async function errorsAnswered(answer: () => Promise<Reply>): Promise<Reply> {
  try {
    return await answer();
  } catch (error) {
    if (error instanceof ErrorReply) return error.reply;
    throw error;
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
