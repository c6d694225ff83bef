import type { Account, Pull, Repository, World } from './state.ts';

/** One request, after it was authenticated and found to be as GitHub describes it. */
export interface Call {
  readonly world: World;
  readonly account: Account;
  /** Path parameters, decoded. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Within the schema of the operation's body; routes name the members that they read. */
  readonly body: unknown;
}

export interface RepositoryCall extends Call {
  readonly repository: Repository;
}

export interface Reply {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Route {
  /** Permissions of which one is enough, as in `x-accepted-github-permissions`: `contents=write`. Absent: none is needed. */
  readonly needs?: readonly string[];
  /** Only the app itself, by its JSON Web Token, may ask. */
  readonly forApp?: true;
  readonly answer: (call: Call) => Promise<Reply>;
}

/** Routes by the id of the operation that they answer: `pulls/create`. */
export type Routes = Readonly<Record<string, Route>>;

/** The answer is an error. */
export class ErrorReply extends Error {
  readonly reply: Reply;

  constructor(status: number, message: string, members: Readonly<Record<string, unknown>> = {}) {
    super(`${status} ${message}`);
    this.name = 'ErrorReply';
    this.reply = {
      status,
      body: { message, documentation_url: 'https://docs.github.com/rest', status: String(status), ...members },
    };
  }
}

export function notFound(): ErrorReply {
  return new ErrorReply(404, 'Not Found');
}

/** 422 in the form that GitHub's custom validations have. */
export function validationFailed(resource: string, message: string): ErrorReply {
  return new ErrorReply(422, 'Validation Failed', { errors: [{ resource, code: 'custom', message }] });
}

/** A route below `/repos/{owner}/{repo}`: whoever cannot see the repository is told that there is none. */
export function onRepository(needs: readonly string[], answer: (call: RepositoryCall) => Promise<Reply>): Route {
  return {
    needs,
    answer: (call) => {
      const repository = visibleRepository(call);
      return answer({ ...call, repository });
    },
  };
}

export function visibleRepository({ world, account, parameters }: Call): Repository {
  const fullName = `${parameters.owner}/${parameters.repo}`.toLowerCase();
  const repository = world.repositories.get(fullName);
  const visible = account.repositories?.some((name) => name.toLowerCase() === fullName) ?? true;
  if (repository === undefined || !(visible || !repository.private)) throw notFound();
  return repository;
}

export function pullOf({ repository, parameters }: RepositoryCall): Pull {
  const number = Number(parameters.pull_number ?? parameters.issue_number);
  const pull = repository.pulls.find((candidate) => candidate.number === number);
  if (pull === undefined) throw notFound();
  return pull;
}

/** One page of a list, with the `link` header by which clients find the next. */
export function page<Item>(call: Call, items: readonly Item[], path: string): { items: Item[]; headers: Record<string, string> } {
  const size = Math.min(Number(call.query.get('per_page') ?? 30), 100);
  const number = Number(call.query.get('page') ?? 1);
  const last = Math.max(1, Math.ceil(items.length / size));
  const query = new URLSearchParams(call.query);
  query.set('page', String(number + 1));
  const headers: Record<string, string> = number < last ? { link: `<${call.world.url}${path}?${query}>; rel="next"` } : {};
  return { items: items.slice((number - 1) * size, number * size), headers };
}
