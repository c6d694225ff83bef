import { HttpClient } from '@actions/http-client';
import { asRecord, type Deadline, detailOf, FinalError, parseJson, persist } from './persist.ts';

/** What the runner gives a job that may have a token. */
export interface TokenRequest {
  readonly url: string;
  readonly token: string;
}

/** @throws Error where the job may not have one */
export function tokenRequestFrom(env: Readonly<Record<string, string | undefined>>): TokenRequest {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: url = '', ACTIONS_ID_TOKEN_REQUEST_TOKEN: token = '' } = env;
  if (url !== '' && token !== '') return { url, token };
  throw new Error(
    'This job may not request an OIDC token. Give it `permissions: { id-token: write }`; jobs of pull requests from forks never may.',
  );
}

/**
 * The OIDC token of the job. `getIDToken` of @actions/core does the same, but neither in a given time nor by telling errors apart.
 * @see https://docs.github.com/actions/reference/security/oidc
 * @throws FinalError
 */
export async function requestIdToken(
  { url, token }: TokenRequest,
  audience: string,
  deadline: Deadline,
  report: (message: string) => void,
): Promise<string> {
  const withAudience = new URL(url);
  withAudience.searchParams.set('audience', audience);
  const what = "GitHub's issuer of tokens";
  const send = (socketTimeout: number) =>
    new HttpClient('landfall-notify', [], { socketTimeout, allowRedirects: false }).get(withAudience.href, {
      Authorization: `Bearer ${token}`,
      Accept: 'application/json',
    });
  const answer = await persist(what, deadline, send, report);
  const { value } = asRecord(parseJson(answer.text));
  if (answer.status === 200 && typeof value === 'string' && value !== '') return value;
  throw new FinalError(`${what} gave no token: it answered ${answer.status}${detailOf(answer)}. Expected 200 with a token`);
}
