import { z } from 'zod';
import { Refusal } from '../../domain/failures.ts';
import { type Digest, isDigest, isTag, type Repository, type Tag } from '../../domain/image-reference.ts';
import { BodyTooLarge, readBody } from '../http/client.ts';
import { nextPage } from '../http/headers.ts';
import { createAuthentication } from './authentication.ts';
import type { CredentialsSource } from './credentials.ts';
import { type HttpSettings, parseJson, unexpectedAnswer } from './http.ts';
import {
  acceptManifests,
  digestOf,
  type ImageConfig,
  type Manifest,
  parseImageConfig,
  parseManifest,
  resemblesConfig,
  resemblesManifest,
} from './manifest.ts';
import { isNotThere, isPage, oddAnswer } from './odd-answer.ts';
import { createSession, type Session } from './session.ts';

/**
 * What an OCI registry knows of images, read-only. "Not there" is an answer, `undefined`. Only a complete and well-formed answer of the
 * registry itself counts: pages of proxies and logins, and answers that were cut, are something broken, whatever their status is.
 *
 * Errors: `Refusal` `CredentialsRefused`, `DigestMismatch` (the bytes are not what their digest says) or `NotAnImage` (they cannot be
 * read); `RateLimit` if the registry asks us to wait; anything else is something broken, to be tried again.
 */
export interface Registry {
  /**
   * The digest of what a tag points to. Cheap: no body is sent where the registry can do without.
   * @param known what it was the last time: a registry may then answer that nothing has changed
   */
  resolve(repository: Repository, tag: Tag, known?: Digest): Promise<Digest | undefined>;
  /** What a tag points to, or the manifest of a digest; its bytes are hashed. */
  manifest(repository: Repository, reference: Tag | Digest): Promise<Manifest | undefined>;
  /** An image's configuration; its bytes are hashed. */
  config(repository: Repository, digest: Digest): Promise<ImageConfig | undefined>;
  /** Every tag, in the registry's order; none if there is no such repository. */
  tags(repository: Repository): Promise<Tag[]>;
  /**
   * The same, with what the registry calls this list.
   * @param etag of an earlier list: `unchanged` where that is still the list
   */
  tagList(repository: Repository, etag?: string): Promise<TagList | 'unchanged'>;
}

export interface TagList {
  readonly tags: Tag[];
  /** Absent if the registry gives none, or gave the list in several pages: the first page does not speak for the others. */
  readonly etag?: string;
}

export interface RegistryOptions {
  readonly credentials: CredentialsSource;
  /** Hosts (`localhost:5000`) that are spoken to without TLS: only those, also where the host is this one. */
  readonly plainHttp?: (host: string) => boolean;
  /** Longest time from a request to the last byte of its answer; 30 s. */
  readonly timeoutMs?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** The largest manifest that registries are asked to take (OCI distribution specification). */
const manifestLimit = 4 * 1024 * 1024;
const configLimit = 8 * 1024 * 1024;
const tagPageLimit = 8 * 1024 * 1024;
/** Elastic Container Registry takes no more in one page. */
const tagsPerPage = 1_000;
const mostTagPages = 1_000;
const longestEtag = 100;

/** A repository without tags has null, or leaves the key out beside its name. */
const tagPage = z.union([
  z.object({ tags: z.array(z.string()).nullable() }),
  z.object({ name: z.string(), tags: z.array(z.string()).nullish() }),
]);

export function createRegistry({
  credentials,
  plainHttp = () => false,
  timeoutMs = 30_000,
  now = Date.now,
}: RegistryOptions): Registry {
  const settings: HttpSettings = { timeoutMs, plainHttp, now };
  const session = createSession(createAuthentication(credentials, settings), settings);
  const manifest: Registry['manifest'] = (repository, reference) => fetchManifest(session, settings, repository, reference);

  return {
    manifest,
    resolve: async (repository, tag, known) => {
      const headed = await headManifest(session, settings, repository, tag, known);
      return headed === 'unknown' ? (await manifest(repository, tag))?.digest : headed;
    },
    config: (repository, digest) => fetchConfig(session, settings, repository, digest),
    tags: async (repository) => {
      const list = await listTags(session, settings, repository);
      return list === 'unchanged' ? [] : list.tags;
    },
    tagList: (repository, etag) => listTags(session, settings, repository, etag),
  };
}

/**
 * @returns `unknown` where the registry does not say the digest: then the manifest has to be fetched and hashed. Some registries, and
 *   proxies before them, answer HEAD with 400, 403, 404, 405 or 501 although GET is right, so none of these is believed.
 */
async function headManifest(
  session: Session,
  settings: HttpSettings,
  repository: Repository,
  tag: Tag,
  known: Digest | undefined,
): Promise<Digest | 'unknown'> {
  const path = `manifests/${tag}`;
  // Distribution and those made from it use the digest as the manifest's ETag.
  const condition = known === undefined ? {} : { 'if-none-match': `"${known}"` };
  const answer = await session.request(repository, 'HEAD', path, { accept: acceptManifests, ...condition });
  if (answer.status === 304 && known !== undefined) return known;
  if (answer.status === 429) throw await unexpectedAnswer(`HEAD ${repository}/${path}`, answer, settings);
  const digest = answer.headers.get('docker-content-digest') ?? '';
  return answer.status === 200 && isDigest(digest) ? digest : 'unknown';
}

async function fetchManifest(
  session: Session,
  settings: HttpSettings,
  repository: Repository,
  reference: Tag | Digest,
): Promise<Manifest | undefined> {
  const fetched = await fetchBytes(session, settings, repository, `manifests/${reference}`, manifestLimit);
  if (fetched === undefined) return undefined;
  const what = `the manifest ${repository}${isDigest(reference) ? '@' : ':'}${reference}`;
  const { answer, bytes } = fetched;
  const digest = digestOf(bytes);
  const header = answer.headers.get('docker-content-digest') ?? '';
  const promised = isDigest(reference) ? reference : isDigest(header) ? header : undefined;
  // What has the promised digest is what was pushed, whatever it is. Anything else has to look like a manifest at least.
  if (promised !== digest && !resemblesManifest(bytes)) throw oddAnswer(what, answer, 'a manifest');
  if (promised !== undefined && promised !== digest) throw digestMismatch(what, promised, digest);
  return parseManifest(bytes, answer.headers.get('content-type'), what);
}

async function fetchConfig(
  session: Session,
  settings: HttpSettings,
  repository: Repository,
  digest: Digest,
): Promise<ImageConfig | undefined> {
  const fetched = await fetchBytes(session, settings, repository, `blobs/${digest}`, configLimit);
  if (fetched === undefined) return undefined;
  const what = `the image configuration ${repository}@${digest}`;
  const found = digestOf(fetched.bytes);
  if (found !== digest && !resemblesConfig(fetched.bytes)) throw oddAnswer(what, fetched.answer, 'an image configuration');
  if (found !== digest) throw digestMismatch(what, digest, found);
  return parseImageConfig(fetched.bytes, what);
}

async function fetchBytes(
  session: Session,
  settings: HttpSettings,
  repository: Repository,
  path: string,
  limit: number,
): Promise<{ answer: Response; bytes: Buffer } | undefined> {
  const what = `GET ${repository}/${path}`;
  const headers = path.startsWith('manifests/') ? { accept: acceptManifests } : {};
  const answer = await session.request(repository, 'GET', path, headers);
  if (answer.status === 404 && (await isNotThere(what, answer, settings))) return undefined;
  if (answer.status !== 200) throw await unexpectedAnswer(what, answer, settings);
  try {
    return { answer, bytes: await readBody(answer, limit, what, settings.timeoutMs) };
  } catch (error) {
    if (!(error instanceof BodyTooLarge)) throw error;
    if (isPage(answer)) throw oddAnswer(what, answer, 'a part of an image');
    throw new Refusal('NotAnImage', `${error.message}, which no image needs; push a smaller one`, [], { cause: error });
  }
}

async function listTags(
  session: Session,
  settings: HttpSettings,
  repository: Repository,
  etag?: string,
): Promise<TagList | 'unchanged'> {
  const what = `the list of tags of ${repository}`;
  const tags = new Set<Tag>();
  let path = `tags/list?n=${tagsPerPage}`;
  for (let page = 0; page < mostTagPages; page++) {
    const condition = page === 0 && etag !== undefined ? { 'if-none-match': etag } : {};
    const answer = await session.request(repository, 'GET', path, { accept: 'application/json', ...condition });
    if (answer.status === 304 && 'if-none-match' in condition) return 'unchanged';
    if (answer.status === 404 && (await isNotThere(what, answer, settings))) return { tags: [...tags] };
    if (answer.status !== 200) throw await unexpectedAnswer(what, answer, settings);
    for (const tag of await tagsOfPage(answer, what, settings)) tags.add(tag);
    const query = nextPage(answer.headers.get('link'));
    if (query === undefined) return { tags: [...tags], ...(page === 0 ? etagOf(answer) : {}) };
    path = `tags/list${query}`;
  }
  throw new Error(`${what} has more than ${mostTagPages} pages`);
}

async function tagsOfPage(answer: Response, what: string, settings: HttpSettings): Promise<Tag[]> {
  const body = await readBody(answer, tagPageLimit, what, settings.timeoutMs);
  const parsed = tagPage.safeParse(parseJson(body.toString(), what));
  if (!parsed.success)
    throw new Error(`${what} is not of the form {"tags": ["…"]}, and is asked for again`, { cause: parsed.error });
  return (parsed.data.tags ?? []).filter(isTag);
}

/** One of unusual length is not worth being remembered. */
function etagOf(answer: Response): Pick<TagList, 'etag'> {
  const etag = answer.headers.get('etag') ?? '';
  return etag === '' || etag.length > longestEtag ? {} : { etag };
}

function digestMismatch(what: string, expected: Digest, found: Digest): Refusal {
  return new Refusal(
    'DigestMismatch',
    `${what} should have the digest ${expected}, but its bytes have ${found}; ` +
      'the registry, or something between it and us, changes what it keeps: look into that before the image is used',
    [{ expected, found }],
  );
}
