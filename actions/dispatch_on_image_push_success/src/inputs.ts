import { getInput } from '@actions/core';
import { githubRepositoryPattern } from '../../../src/domain/github-repository.ts';
import { isDigest } from '../../../src/domain/image-reference.ts';

export interface Inputs {
  /** `owner/name` */
  readonly targetRepo: string;
  readonly token: string;
  readonly event: string;
  /** As it was given: usually a JSON array. */
  readonly tags: string;
  /** Empty where it was not given. */
  readonly digest: string;
  /** Empty where it was not given. */
  readonly imageName: string;
  /** Without a slash at the end. */
  readonly apiUrl: string;
}

/** What the runner tells about the job. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** GitHub's own limit. */
const longestEvent = 100;

/** @throws Error that names the input, what was expected of it, and what was found */
export function readInputs(env: Environment): Inputs {
  const targetRepo = required('target_repo', 'the repository to be told, as owner/name');
  const token = required('target_repo_pat', 'a token that may write the contents of target_repo');
  const event = required('repository_dispatch_event', 'the event type that a workflow of target_repo listens to');
  if (!githubRepositoryPattern.test(targetRepo)) {
    throw new Error(`target_repo: expected a repository as owner/name, found ${show(targetRepo)}`);
  }
  if (event.length > longestEvent) {
    throw new Error(`repository_dispatch_event: expected at most ${longestEvent} characters, found ${event.length}`);
  }
  return {
    targetRepo,
    token,
    event,
    tags: required('tags', 'the tags that were pushed, usually as a JSON array'),
    digest: readDigest(),
    imageName: getInput('image_name'),
    apiUrl: readApiUrl(env),
  };
}

function required(name: string, what: string): string {
  const value = getInput(name);
  if (value === '')
    throw new Error(`${name}: expected ${what}, found nothing: set the input (a secret that does not exist is empty)`);
  return value;
}

function readDigest(): string {
  const digest = getInput('digest');
  if (digest === '' || isDigest(digest)) return digest;
  throw new Error(`digest: expected sha256: and 64 lower-case hex digits, or nothing, found ${show(digest)}`);
}

function readApiUrl({ GITHUB_API_URL }: Environment): string {
  const given = getInput('api_url') || GITHUB_API_URL || 'https://api.github.com';
  if (!/^https?:\/\//i.test(given) || !URL.canParse(given)) {
    throw new Error(`api_url: expected a URL that begins with https://, found ${show(given)}`);
  }
  return given.replace(/\/+$/, '');
}

function show(value: string): string {
  return value.length > 100 ? `${value.slice(0, 100)}…` : value;
}
