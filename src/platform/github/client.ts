import { createPrivateKey } from 'node:crypto';
import type { App, Octokit } from 'octokit';
import { Refusal } from '../../domain/failures.ts';
import { type HttpInit, httpFetch } from '../http/client.ts';
import { answeredWith, classify } from './errors.ts';

/** How Landfall proves to GitHub who it is. */
export type GitHubCredentials =
  | { readonly token: string }
  | {
      readonly app: {
        readonly id: string | number;
        /** PEM. */
        readonly privateKey: string;
        /** Absent: the app's installation is looked up for each owner. */
        readonly installationId?: number;
      };
    };

export interface GitHubClientOptions {
  /** Base of the REST API, without a slash at the end: `https://github.example.org/api/v3`. Absent: github.com's. */
  readonly url?: string;
  /** For a whole request and its answer. */
  readonly timeoutMs?: number;
}

export interface GitHubClients {
  /**
   * A client for one repository, `owner/name`, or for an organization by its name. What it throws is classified: `RateLimit`, `Refusal`
   * (the cause is octokit's `RequestError`), or an ordinary error for what is broken.
   */
  clientFor(named: string): Promise<Octokit>;
}

/** The largest answer is a file of 100 MB in base64; everything else is there at once, or never. */
const defaultTimeoutMs = 30_000;
/** What the answers look like is bound to a version: https://docs.github.com/rest/about-the-rest-api/api-versions */
const apiVersion = '2022-11-28';

/** They neither wait nor try again: the workflow does, durably. @throws Refusal `CredentialsRefused` if the app's key is no private key */
export function createGitHubClients(credentials: GitHubCredentials, options: GitHubClientOptions = {}): GitHubClients {
  if ('token' in credentials) {
    const { token: auth } = credentials;
    let client: Promise<Octokit> | undefined;
    return {
      clientFor() {
        client ??= clientClass(options).then((Client) => new Client({ auth }));
        return client;
      },
    };
  }
  return createAppClients(credentials.app, options);
}

function createAppClients(
  { id, privateKey, installationId }: Extract<GitHubCredentials, { app: unknown }>['app'],
  options: GitHubClientOptions,
): GitHubClients {
  // A key in an environment variable often has `\n` for its line ends.
  const pem = privateKey.replaceAll('\\n', '\n');
  checkKey(pem);
  let app: App | undefined;
  const clients = new Map<string, Promise<Octokit>>();
  // Tokens live for an hour and keep the permissions that they were made with: after a refusal the next request gets a new one, or what
  // an operator has granted meanwhile would go unseen.
  const forget = () => {
    app = undefined;
    clients.clear();
  };

  async function installationClient(named: string): Promise<Octokit> {
    const { App: AppClients } = await import('octokit');
    const Client = await clientClass(options, forget);
    app ??= new AppClients({ appId: id, privateKey: pem, Octokit: Client });
    const current = app;
    return current.getInstallationOctokit(installationId ?? (await findInstallation(current, named)));
  }

  return {
    clientFor(named) {
      // An app is installed once an owner, for some or all of its repositories.
      const owner = (named.split('/')[0] ?? named).toLowerCase();
      const known = clients.get(owner);
      if (known !== undefined) return known;
      const client = installationClient(named);
      clients.set(owner, client);
      client.catch(() => clients.delete(owner));
      return client;
    },
  };
}

async function findInstallation({ octokit }: App, named: string): Promise<number> {
  const [owner = '', repo] = named.split('/');
  if (repo !== undefined) return (await octokit.request('GET /repos/{owner}/{repo}/installation', { owner, repo })).data.id;
  try {
    return (await octokit.request('GET /orgs/{org}/installation', { org: owner })).data.id;
  } catch (error) {
    if (!answeredWith(error, 404)) throw error;
    const message = `the GitHub App is not installed on ${owner}, or there is no such organization: install the app there`;
    throw new Refusal('ForgeRefused', message, [], { cause: error });
  }
}

function checkKey(pem: string): void {
  try {
    createPrivateKey(pem);
  } catch (cause) {
    const message = `expected a private key in PEM form, found something else; set forge.github.app.privateKey to the key that GitHub's page of the app made`;
    throw new Refusal('CredentialsRefused', message, [], { cause });
  }
}

/** Octokit is loaded here, where GitHub is asked for the first time. @param refused called when GitHub refuses a credential or an operation */
async function clientClass(options: GitHubClientOptions, refused: () => void = () => {}) {
  const { Octokit: Base } = await import('octokit');
  const { url, timeoutMs = defaultTimeoutMs } = options;
  return Base.plugin((octokit) => {
    octokit.hook.before('request', (request) => {
      request.headers['x-github-api-version'] = apiVersion;
    });
    octokit.hook.error('request', (error) => {
      if (answeredWith(error, 401) || answeredWith(error, 403)) refused();
      throw classify(error, Date.now());
    });
  }).defaults({
    ...(url !== undefined && { baseUrl: url }),
    userAgent: 'landfall',
    throttle: { enabled: false },
    retry: { enabled: false },
    request: { fetch: wholeAnswers(timeoutMs, new URL(url ?? 'https://api.github.com').origin) },
  });
}

/**
 * `fetch` with a time limit that fails unless the whole answer has come: octokit takes a body that was cut off for the body.
 * @param origin of the API: nothing else is asked, wherever links and redirects lead; each request carries the token
 */
function wholeAnswers(timeoutMs: number, origin: string) {
  return async (url: string, init?: HttpInit): Promise<Response> => {
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = init?.signal ? AbortSignal.any([init.signal, timeout]) : timeout;
    const answer = await fetchWithin(origin, url, { ...init, signal });
    const body = await answer.arrayBuffer();
    const { status, statusText, headers } = answer;
    // The answers without a body may not even be given an empty one.
    const whole = new Response(body.byteLength === 0 ? null : body, { status, statusText, headers });
    // One that is made by hand has none, and octokit's paginate reads it.
    return Object.defineProperty(whole, 'url', { value: answer.url });
  };
}

const mostRedirects = 5;

/** A repository that was renamed is asked by its old name; GitHub answers with where it is now, on the same host. */
async function fetchWithin(origin: string, asked: string, init: HttpInit): Promise<Response> {
  const isRead = ['GET', 'HEAD', undefined].includes(init.method);
  const { pathname, search } = new URL(asked);
  // Links to further pages may name the API otherwise than we do, as behind a proxy: only their path counts.
  let url = new URL(pathname + search, origin);
  for (let redirects = 0; redirects <= mostRedirects; redirects++) {
    const answer = await httpFetch(url, { ...init, redirect: 'manual' });
    const location = answer.headers.get('location');
    if (![301, 302, 303, 307, 308].includes(answer.status) || location === null) return answer;
    await answer.body?.cancel();
    const next = URL.parse(location, url.href);
    if (next?.origin !== origin) {
      throw new Error(
        `GitHub at ${origin} redirects to ${next?.origin ?? 'what is no address'}: expected an address of its own API`,
      );
    }
    // Any other status would make another request of it.
    if (!isRead && ![307, 308].includes(answer.status)) {
      throw new Error(
        `GitHub redirects ${init.method} ${url.pathname} by ${answer.status}: expected 307 or 308, which keep what is asked`,
      );
    }
    url = next;
  }
  throw new Error(`GitHub at ${origin} redirects more than ${mostRedirects} times`);
}
