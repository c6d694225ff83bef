import { openAsBlob } from 'node:fs';
import { Refusal } from '../../domain/failures.ts';
import { type Digest, pathOf, type Repository, registryOf, type Tag } from '../../domain/image-reference.ts';
import { errorText, type HttpSettings, httpSettingsOf, originOf, unexpectedAnswer } from './http.ts';
import type { RegistryOptions } from './registry.ts';
import { Session } from './session.ts';
import { isSameSite } from './site.ts';

interface Blob {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly file: string;
}

/** A slow line of 1 MB/s, and some time for a registry that looks at what it got. */
const longestUploadMs = (size: number) => 60_000 + Math.ceil(size / 1_000);

/**
 * Puts images into OCI registries, by the OCI distribution specification. Everything may be sent again: what is there is not.
 * @throws Refusal `CredentialsRefused`; RateLimit; any other error is something broken, to be tried again
 */
export class Uploads {
  readonly #session: Session;
  readonly #settings: HttpSettings;

  constructor(options: RegistryOptions) {
    this.#settings = httpSettingsOf(options);
    this.#session = new Session(options.credentials, this.#settings);
  }

  /** @returns whether it had to be sent */
  async blob(repository: Repository, { digest, size, file }: Blob): Promise<boolean> {
    if (await this.#has(repository, `blobs/${digest}`)) return false;
    const begun = await this.#session.request(repository, 'POST', 'blobs/uploads/', { headers: { 'content-length': '0' } });
    if (begun.status !== 202) throw await this.#refused(repository, `POST ${repository}/blobs/uploads/`, begun);
    await begun.body?.cancel();
    const to = this.#uploadAt(repository, begun.headers.get('location'));
    to.searchParams.set('digest', digest);
    const headers = { 'content-type': 'application/octet-stream', 'content-length': String(size) };
    const body = await openAsBlob(file);
    const done = await this.#session.request(repository, 'PUT', to, { headers, body, timeoutMs: longestUploadMs(size) });
    if (done.status !== 201) throw await this.#refused(repository, `PUT ${repository}/blobs/${digest}`, done);
    await done.body?.cancel();
    return true;
  }

  /** A manifest or an index, whose parts are there. @param reference a tag is moved to it @returns whether it had to be sent */
  async manifest(repository: Repository, reference: Tag | Digest, bytes: Buffer, mediaType: string): Promise<boolean> {
    const path = `manifests/${reference}`;
    if (reference.startsWith('sha256:') && (await this.#has(repository, path))) return false;
    const body = new Uint8Array(bytes);
    const done = await this.#session.request(repository, 'PUT', path, { headers: { 'content-type': mediaType }, body });
    if (done.status !== 201) throw await this.#refused(repository, `PUT ${repository}/${path}`, done);
    await done.body?.cancel();
    return true;
  }

  async #has(repository: Repository, path: string): Promise<boolean> {
    const accept = path.startsWith('manifests/')
      ? { accept: 'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json' }
      : {};
    const answer = await this.#session.request(repository, 'HEAD', path, { headers: accept });
    // What is not known to be there is sent: a registry that answers HEAD with anything else says so there.
    return answer.status === 200;
  }

  /** Where the registry says that the bytes go: itself, its site, or what was configured to belong to it. */
  #uploadAt(repository: Repository, location: string | null): URL {
    const host = registryOf(repository);
    const origin = originOf(host, this.#settings);
    if (location === null || !URL.canParse(location, origin.href))
      throw new Error(
        `expected ${host} to say where to upload to ${pathOf(repository)}, found ${location === null ? 'nothing' : 'no address'}`,
      );
    const at = new URL(location, origin);
    const isOwn = isSameSite(at.hostname, origin.hostname) || this.#settings.belongs(at.host, host);
    if (isOwn && (at.protocol === 'https:' || this.#settings.plainHttp(host))) return at;
    throw new Error(
      `${host} wants the image to be uploaded to ${at.origin}, which is not known to belong to it: if it does, say so in landfall.yaml: ` +
        `registries: { ${host}: { hosts: [${at.host}] } }`,
    );
  }

  async #refused(repository: Repository, what: string, answer: Response): Promise<Error> {
    // Of a client's fault only these pass.
    const isNo = answer.status >= 400 && answer.status < 500 && ![404, 408, 425, 429].includes(answer.status);
    if (!isNo) return await unexpectedAnswer(what, answer, this.#settings);
    const said = await errorText(answer, this.#settings);
    return new Refusal('PushRejected', `${registryOf(repository)} does not take the image (${what}: ${answer.status} ${said})`);
  }
}
