import type { RequestError } from 'octokit';
import { RateLimit, Refusal } from '../../domain/failures.ts';
import { memberOf } from '../../domain/json.ts';
import { retryAfter } from '../http/headers.ts';

/** Statuses that say something about the moment: asking again helps. 409: a conflict with another write, or with a merge going on. */
const passing = new Set([408, 409, 423, 425]);

/** Where GitHub points to when it says that there were too many requests, and has no header that tells until when. */
const secondaryRateLimits = /#(?:about-)?secondary-rate-limits$/;

/**
 * What an error of octokit's means: a `RateLimit`, a `Refusal` (with the error as its cause), or something broken, which is the error itself.
 * @see https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
 */
export function classify(error: unknown, nowMs: number): unknown {
  if (!isRequestError(error) || error.response === undefined) return error;
  const { status } = error;
  if (status === 403 || status === 429) {
    const until = limitedUntil(error, nowMs);
    if (until !== undefined) return new RateLimit(`GitHub asks us to wait: ${messageOf(error)}`, until);
  }
  if (status < 400 || status >= 500 || passing.has(status)) return error;
  const type = status === 401 ? 'CredentialsRefused' : 'ForgeRefused';
  return new Refusal(type, `${explanation(error)} (${error.request.method} ${pathOf(error)})`, [], { cause: error });
}

/**
 * The same for an error of octokit's `graphql`, whose answers are 200 and say in their body what is wrong, by a `type` each.
 * @see https://docs.github.com/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
 */
export function classifyGraphql(error: unknown, nowMs: number): unknown {
  const errors = error instanceof Error && error.name === 'GraphqlResponseError' ? memberOf(error, 'errors') : undefined;
  if (!Array.isArray(errors)) return error;
  const types = errors.map((each: unknown) => memberOf(each, 'type'));
  if (types.includes('RATE_LIMITED')) {
    const reset = Number(memberOf(memberOf(error, 'headers'), 'x-ratelimit-reset'));
    const until = reset > 0 ? new Date(Math.max(reset * 1000, nowMs) + 1000) : retryAfter(null, nowMs);
    return new RateLimit('GitHub asks us to wait', until);
  }
  // Without a type it is a mistake of GitHub's, or of ours: trying again may help with the one, and a person sees the other.
  if (types.every((type) => type === undefined)) return error;
  const said = errors.map((each: unknown) => String(memberOf(each, 'message') ?? JSON.stringify(each))).join(': ');
  return new Refusal('ForgeRefused', `GitHub refuses this: ${said.slice(0, 500)} (GraphQL)`, [], { cause: error });
}

/** Whether this is GitHub's answer with the status, classified or not. */
export function answeredWith(error: unknown, status: number): boolean {
  const answer = error instanceof Refusal ? error.cause : error;
  return isRequestError(answer) && answer.response !== undefined && answer.status === status;
}

/** By its name, so that octokit is loaded only where GitHub is asked. */
function isRequestError(error: unknown): error is RequestError {
  return error instanceof Error && error.name === 'HttpError' && 'request' in error;
}

/** Until when GitHub does not want to be asked; undefined if the answer is no rate limit. */
function limitedUntil(error: RequestError, nowMs: number): Date | undefined {
  const wait = header(error, 'retry-after');
  if (wait !== undefined) return retryAfter(wait, nowMs);
  const reset = Number(header(error, 'x-ratelimit-reset'));
  if (header(error, 'x-ratelimit-remaining') === '0' && reset > 0) {
    // A moment later: the two clocks are not the same.
    return new Date(Math.max(reset * 1000, nowMs) + 1000);
  }
  const isSecondary = secondaryRateLimits.test(String(memberOf(error.response?.data, 'documentation_url') ?? ''));
  // Without any of the headers, GitHub's advice is to wait for at least a minute.
  return error.status === 429 || isSecondary ? retryAfter(null, nowMs) : undefined;
}

/** What was expected, what was found, and what to do. */
function explanation(error: RequestError): string {
  const said = messageOf(error);
  if (error.status === 401) return `GitHub refuses our credentials: ${said}; renew the token or the key of forge.github`;
  if (error.status === 403) return `GitHub refuses this: ${said}; ${permissionAdvice(error)}`;
  return error.status === 404 ? missing(error) : `GitHub refuses this: ${said}`;
}

/** GitHub answers 404 for what a token may not see, too. */
function missing(error: RequestError): string {
  const path = pathOf(error);
  const repository = /\/repos\/([^/]+\/[^/]+)/.exec(path)?.[1];
  if (repository === undefined) {
    return 'GitHub knows no such installation of the app: correct forge.github.app.installationId, or leave it out';
  }
  if (path.endsWith(`${repository}/installation`)) {
    return `the GitHub App is not installed on ${repository}, or there is no such repository: install the app there`;
  }
  return `no such repository or resource at GitHub, or the token cannot see ${repository} (${messageOf(error)}): check the name, and what the token may read`;
}

function permissionAdvice(error: RequestError): string {
  const singleSignOn = header(error, 'x-github-sso');
  if (singleSignOn !== undefined) return `authorize the token for the organization's single sign-on: ${singleSignOn}`;
  // Fine-grained tokens and apps; the other header is that of classic tokens.
  const permissions = header(error, 'x-accepted-github-permissions');
  const scopes = header(error, 'x-accepted-oauth-scopes');
  if (permissions) return `the token or app needs the permission ${permissions}`;
  if (scopes) return `the token needs one of the scopes ${scopes}`;
  return 'check the permissions of the token or app, and the rules of the repository';
}

/** GitHub's own words, with what it says about single fields, at most 500 characters. */
function messageOf(error: RequestError): string {
  const errors = memberOf(error.response?.data, 'errors');
  const details = (Array.isArray(errors) ? errors : []).map((detail: unknown) =>
    typeof detail === 'string' ? detail : String(memberOf(detail, 'message') ?? JSON.stringify(detail)),
  );
  const message = memberOf(error.response?.data, 'message');
  const shown = [typeof message === 'string' ? message : `status ${error.status}`, ...details].join(': ');
  return shown.slice(0, 500);
}

function pathOf(error: RequestError): string {
  return new URL(error.request.url).pathname;
}

function header(error: RequestError, name: string): string | undefined {
  const value = error.response?.headers[name];
  return value === undefined ? undefined : String(value);
}
