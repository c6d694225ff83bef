import { getInput } from '@actions/core';
import { githubRepositoryPattern } from '../../../src/domain/github-repository.ts';
import { InvalidReference, isDigest, isTag, parseReference } from '../../../src/domain/image-reference.ts';

export interface Inputs {
  /** `owner/name` */
  readonly targetRepo: string;
  readonly token: string;
  readonly event: string;
  /** The JSON array as it was given. */
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
    tags: readTags(),
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

function readTags(): string {
  const text = getInput('tags');
  const expected = 'tags: expected a JSON array of at least one tag, such as ["latest", "v1.2.0"]';
  if (text === '') throw new Error(`${expected}, found nothing: set the input to the tags that were pushed`);
  const tags = parseJson(text);
  if (!Array.isArray(tags)) throw new Error(`${expected}, found ${show(text)}`);
  if (tags.length === 0) throw new Error(`${expected}, found an empty one`);
  const wrong = tags.find((tag: unknown) => typeof tag !== 'string' || !namesTag(tag));
  if (wrong !== undefined) throw new Error(`${expected}, found ${show(JSON.stringify(wrong))} in it`);
  return text;
}

/** Undefined for what is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A tag, or a whole name with a tag, as docker/metadata-action lists them. */
function namesTag(text: string): boolean {
  if (isTag(text)) return true;
  try {
    return parseReference(text).tag !== undefined;
  } catch (error) {
    if (error instanceof InvalidReference) return false;
    throw error;
  }
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
