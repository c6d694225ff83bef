import { HttpClient } from '@actions/http-client';
import type { Environment, Inputs } from './inputs.ts';

export interface Event {
  readonly event_type: string;
  readonly client_payload: Readonly<Record<string, string>>;
}

const timeoutMs = 30_000;

/** `repository` is the image's name, as workflows that listen to this event expect. What the job does not know is empty. */
export function eventOf({ event, tags, digest, imageName }: Inputs, env: Environment, now: Date): Event {
  return {
    event_type: event,
    client_payload: {
      repository: imageName || (env.GITHUB_REPOSITORY ?? ''),
      tags,
      digest,
      commit: env.GITHUB_SHA ?? '',
      run_id: env.GITHUB_RUN_ID ?? '',
      timestamp: now.toISOString().replace(/\.\d{3}Z$/, 'Z'),
      source_repository: env.GITHUB_REPOSITORY ?? '',
      ...(imageName !== '' && { image: imageName }),
    },
  };
}

/**
 * Sends the event, through the runner's proxy where it has one.
 * @throws Error that says what GitHub answered, and what to do
 */
export async function send({ apiUrl, targetRepo, token }: Inputs, event: Event): Promise<void> {
  const url = `${apiUrl}/repos/${targetRepo}/dispatches`;
  const client = new HttpClient('landfall-dispatch-on-image-push-success', [], { socketTimeout: timeoutMs });
  const { status, body } = await client
    .post(url, JSON.stringify(event), {
      Accept: 'application/vnd.github+json',
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      'X-GitHub-Api-Version': '2022-11-28',
    })
    .then(async (response) => ({ status: response.message.statusCode ?? 0, body: await response.readBody() }))
    .catch((error: unknown) => {
      throw new Error(
        `expected an answer of ${url}, found none (${reasonOf(error)}): check api_url and the network of the runner`,
      );
    });
  if (status < 200 || status > 299) throw new Error(explain(status, messageIn(body), targetRepo));
}

function explain(status: number, message: string, repository: string): string {
  const answer = `GitHub answered ${status}${message === '' ? '' : ` (${message})`}`;
  switch (status) {
    case 401:
      return `${answer}: target_repo_pat is no valid token, or has expired; make a new one and renew the secret`;
    case 403:
      return `${answer}: the token may not send events to ${repository}, or has sent too many requests; it needs Contents: read and write (classic: scope repo), and single sign-on where the organization asks for it`;
    case 404:
      return `${answer}: there is no repository ${repository}, or the token cannot see it; check target_repo, and that the token was made for it`;
    case 422:
      return `${answer}: GitHub does not take the event as it is; check repository_dispatch_event, and the length of tags`;
    default:
      return `${answer}: expected 204; ${status >= 500 ? 'run the job again later' : 'check api_url'}`;
  }
}

function messageIn(body: string): string {
  try {
    const answer: unknown = JSON.parse(body);
    const message = typeof answer === 'object' && answer !== null && 'message' in answer ? answer.message : undefined;
    return typeof message === 'string' ? message.slice(0, 300) : '';
  } catch {
    // A proxy's page.
    return '';
  }
}

/** A refused connection to a name with several addresses is one error each, and says nothing itself. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message || ('code' in error ? String(error.code) : error.name);
}
