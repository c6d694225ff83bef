import { Refusal } from '../../domain/failures.ts';
import { type Digest, isDigest, isTag, type Repository, type Tag } from '../../domain/image-reference.ts';
import { memberOf } from '../../domain/json.ts';
import { BodyTooLarge, readBody } from '../http/client.ts';
import { nextPage } from '../http/headers.ts';
import type { CredentialsSource } from './credentials.ts';
import { type HttpSettings, httpSettingsOf, isNotThere, isPage, oddAnswer, readJson, unexpectedAnswer } from './http.ts';
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
import { Session } from './session.ts';

export interface TagList {
  readonly tags: Tag[];
  /** Absent if the registry gives none, or gave the list in several pages: the first page does not speak for the others. */
  readonly etag?: string;
}

/** Defaults: TLS everywhere, also where the host is this one; 30 s. */
export interface RegistryOptions extends Partial<HttpSettings> {
  readonly credentials: CredentialsSource;
}

/** The largest manifest that registries are asked to take (OCI distribution specification). */
const manifestLimit = 4 * 1024 * 1024;
const configLimit = 8 * 1024 * 1024;
const tagPageLimit = 8 * 1024 * 1024;
/** Elastic Container Registry takes no more in one page. */
const tagsPerPage = 1_000;
const mostTagPages = 1_000;
/** Each is kept and compared by whoever searches. */
const mostTags = 100_000;
const longestEtag = 100;

/** Some registries give all tags of a repository at once, whatever they are asked for. */
const tagPageLimits = { levels: 8, items: 400_000 };

/**
 * What OCI registries know of images, read-only. "Not there" is an answer, `undefined`. Only a complete and well-formed answer of the
 * registry itself counts: pages of proxies and logins, and answers that were cut, are something broken, whatever their status is.
 * @throws Refusal `CredentialsRefused`, `DigestMismatch` (the bytes are not what their digest says) or `NotAnImage` (they cannot be read);
 *   `RateLimit` if the registry asks us to wait; anything else is something broken, to be tried again
 */
export class Registry {
  readonly #session: Session;
  readonly #settings: HttpSettings;

  constructor(options: RegistryOptions) {
    this.#settings = httpSettingsOf(options);
    this.#session = new Session(options.credentials, this.#settings);
  }

  /**
   * The digest of what a tag points to. Cheap: no body is sent where the registry can do without.
   * @param known what it was the last time: a registry may then answer that nothing has changed
   */
  async resolve(repository: Repository, tag: Tag, known?: Digest): Promise<Digest | undefined> {
    const path = `manifests/${tag}`;
    // Distribution and those made from it use the digest as the manifest's ETag.
    const condition = known === undefined ? {} : { 'if-none-match': `"${known}"` };
    const answer = await this.#session.request(repository, 'HEAD', path, {
      headers: { accept: acceptManifests, ...condition },
    });
    if (answer.status === 304 && known !== undefined) return known;
    if (answer.status === 429) throw await unexpectedAnswer(`HEAD ${repository}/${path}`, answer, this.#settings);
    const digest = answer.headers.get('docker-content-digest') ?? '';
    if (answer.status === 200 && isDigest(digest)) return digest;
    // Some registries do not say the digest, and some, and proxies before them, answer HEAD with 400, 403, 404, 405 or 501 although GET is
    // right: none of these is believed.
    return (await this.manifest(repository, tag))?.digest;
  }

  /** What a tag points to, or the manifest of a digest; its bytes are hashed. */
  async manifest(repository: Repository, reference: Tag | Digest): Promise<Manifest | undefined> {
    return (await this.rawManifest(repository, reference))?.manifest;
  }

  /** The same, with its bytes as they were pushed. */
  async rawManifest(
    repository: Repository,
    reference: Tag | Digest,
  ): Promise<{ readonly manifest: Manifest; readonly bytes: Buffer } | undefined> {
    const fetched = await this.#fetch(repository, `manifests/${reference}`, manifestLimit);
    if (fetched === undefined) return undefined;
    const what = `the manifest ${repository}${isDigest(reference) ? '@' : ':'}${reference}`;
    const { answer, bytes } = fetched;
    const digest = digestOf(bytes);
    const header = answer.headers.get('docker-content-digest') ?? '';
    const promised = isDigest(reference) ? reference : isDigest(header) ? header : undefined;
    // What has the promised digest is what was pushed, whatever it is. Anything else has to look like a manifest at least.
    if (promised !== digest && !resemblesManifest(bytes)) throw oddAnswer(what, answer, 'a manifest');
    if (promised !== undefined && promised !== digest) throw digestMismatch(what, promised, digest);
    return { manifest: parseManifest(bytes, answer.headers.get('content-type'), what), bytes };
  }

  /** An image's configuration; its bytes are hashed. */
  async config(repository: Repository, digest: Digest): Promise<ImageConfig | undefined> {
    const bytes = await this.configBytes(repository, digest);
    return bytes && parseImageConfig(bytes, configName(repository, digest));
  }

  /** The same as it was pushed, whatever is in it. */
  async configBytes(repository: Repository, digest: Digest): Promise<Buffer | undefined> {
    const fetched = await this.#fetch(repository, `blobs/${digest}`, configLimit);
    if (fetched === undefined) return undefined;
    const what = configName(repository, digest);
    const found = digestOf(fetched.bytes);
    if (found !== digest && !resemblesConfig(fetched.bytes)) throw oddAnswer(what, fetched.answer, 'an image configuration');
    if (found !== digest) throw digestMismatch(what, digest, found);
    return fetched.bytes;
  }

  async #fetch(repository: Repository, path: string, limit: number): Promise<{ answer: Response; bytes: Buffer } | undefined> {
    const what = `GET ${repository}/${path}`;
    const headers = path.startsWith('manifests/') ? { accept: acceptManifests } : {};
    const answer = await this.#session.request(repository, 'GET', path, { headers });
    if (answer.status === 404 && (await isNotThere(what, answer, this.#settings))) return undefined;
    if (answer.status !== 200) throw await unexpectedAnswer(what, answer, this.#settings);
    try {
      return { answer, bytes: await readBody(answer, limit, what, this.#settings.timeoutMs) };
    } catch (error) {
      if (!(error instanceof BodyTooLarge)) throw error;
      if (isPage(answer)) throw oddAnswer(what, answer, 'a part of an image');
      throw new Refusal('NotAnImage', `${error.message}, which no image needs; push a smaller one`, [], { cause: error });
    }
  }

  /** Every tag, in the registry's order; none if there is no such repository. */
  async tags(repository: Repository): Promise<Tag[]> {
    const list = await this.tagList(repository);
    return list === 'unchanged' ? [] : list.tags;
  }

  /** The same, with what the registry calls this list. @param known the etag of an earlier one: `unchanged` where that is still the list */
  async tagList(repository: Repository, known?: string): Promise<TagList | 'unchanged'> {
    const what = `the list of tags of ${repository}`;
    const tags = new Set<Tag>();
    let path = `tags/list?n=${tagsPerPage}`;
    for (let page = 0; page < mostTagPages; page++) {
      const condition = page === 0 && known !== undefined ? { 'if-none-match': known } : {};
      const answer = await this.#session.request(repository, 'GET', path, {
        headers: { accept: 'application/json', ...condition },
      });
      if (answer.status === 304 && 'if-none-match' in condition) return 'unchanged';
      if (answer.status === 404 && (await isNotThere(what, answer, this.#settings))) return { tags: [...tags] };
      if (answer.status !== 200) throw await unexpectedAnswer(what, answer, this.#settings);
      const listed = tagsIn(await readJson(answer, tagPageLimit, what, this.#settings, tagPageLimits));
      if (listed === undefined) throw new Error(`${what} is not of the form {"tags": ["…"]}, and is asked for again`);
      for (const tag of listed.filter(isTag)) tags.add(tag);
      if (tags.size > mostTags)
        throw new Error(
          `${what} has more than ${mostTags} tags, and is not read any further: remove old tags there, or let pushes be told of by a ` +
            "webhook and set search of the registry to 'off'",
        );
      const query = nextPage(answer.headers.get('link'));
      if (query === undefined) return { tags: [...tags], ...(page === 0 && etagOf(answer)) };
      path = `tags/list${query}`;
    }
    throw new Error(`${what} has more than ${mostTagPages} pages`);
  }
}

/** A repository without tags has null, or leaves the key out beside its name. Not by a schema: it would tell of each item that is no text. */
function tagsIn(page: unknown): readonly string[] | undefined {
  const tags = memberOf(page, 'tags');
  if (Array.isArray(tags)) return tags.every((tag) => typeof tag === 'string') ? tags : undefined;
  const isEmpty = tags === null || (tags === undefined && typeof memberOf(page, 'name') === 'string');
  return isEmpty ? [] : undefined;
}

function configName(repository: Repository, digest: Digest): string {
  return `the image configuration ${repository}@${digest}`;
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
