import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { Dispatcher } from 'undici';
import type { Environment } from '../../domain/environment.ts';
import { messageOf } from '../../domain/errors.ts';
import { RateLimit, Refusal } from '../../domain/failures.ts';
import { type ConnectionTls, keptConnection } from '../http/client.ts';
import { type KubernetesCredentials, readCredentials } from './credentials.ts';
import { type ApiStatus, Forbidden, KubernetesError } from './errors.ts';
import { type ClusterContext, KubeconfigError, readClusterContext } from './kubeconfig.ts';
import type { KubernetesObject, Resource } from './objects.ts';

/** Of an object, or without a name of all of a kind. */
export interface ObjectPath {
  readonly resource: Resource;
  /** Absent: of all namespaces, or the kind has none. */
  readonly namespace?: string | undefined;
  readonly name?: string;
  /** `log`, `status`, `proxy/health` */
  readonly sub?: string;
}

interface ListFilter {
  /** Objects of a page; absent: as many as are usual. */
  readonly limit?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

const connectWithinMs = 10_000;
const answerWithinMs = 30_000;
const longestAnswer = 64 * 1024 * 1024;
/** Objects of one page of a list, which the API server reads from what it has in memory. */
const pageSize = 500;
/** As Kubernetes' own controllers: so many requests a second, and so many at once after a rest. */
const requestsPerSecond = 20;
const burst = 40;

/**
 * One API server, asked as one user. What fails, and how it is told: `Refusal` `DeployRefused` where it may not, or is not known (401, 403, a
 * kubeconfig that is no good); RateLimit; KubernetesError for any other no; an ordinary error where there is no answer.
 */
export class KubernetesClient {
  readonly context: ClusterContext;
  readonly #env: Environment;
  readonly #bucket = { tokens: burst, at: performance.now() };
  #session: OpenConnection | undefined;
  /** How many requests it has sent. */
  requests = 0;

  constructor(context: ClusterContext, env: Environment) {
    this.context = context;
    this.#env = env;
  }

  /** The namespace of whoever names none. */
  get namespace(): string {
    return this.context.namespace ?? 'default';
  }

  /** Undefined: there is none. */
  async get<Item extends KubernetesObject>(path: ObjectPath, signal: AbortSignal): Promise<Item | undefined> {
    try {
      return (await this.#ask('GET', path, {}, signal)) as Item;
    } catch (error) {
      if (error instanceof KubernetesError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** All that there are, whatever it takes. */
  async list<Item extends KubernetesObject>(path: ObjectPath, selection: ListFilter, signal: AbortSignal): Promise<Item[]> {
    const items: Item[] = [];
    let next: string | undefined;
    do {
      const query = { limit: String(pageSize), ...selection, ...(next && { continue: next }) };
      const page = (await this.#ask('GET', path, { query }, signal)) as ListPage<Item>;
      items.push(...(page.items ?? []));
      next = page.metadata?.continue || undefined;
    } while (next !== undefined);
    return items;
  }

  /**
   * By server-side apply: sets what `object` has, and leaves everything else.
   * @param options `forced`: takes over fields that others own; `dryRun`: only says what would come of it
   * @throws KubernetesError 409 where others own them
   */
  async apply<Item extends KubernetesObject>(
    path: ObjectPath,
    object: object,
    {
      manager,
      forced = false,
      dryRun = false,
    }: { readonly manager: string; readonly forced?: boolean; readonly dryRun?: boolean },
    signal: AbortSignal,
  ): Promise<Item> {
    const query = { fieldManager: manager, ...(forced && { force: 'true' }), ...(dryRun && { dryRun: 'All' }) };
    const apiVersion = path.resource.apiVersion;
    const body = JSON.stringify({ apiVersion, ...object });
    return (await this.#ask('PATCH', path, { query, body, type: 'application/apply-patch+yaml' }, signal)) as Item;
  }

  async create<Item extends KubernetesObject>(
    path: ObjectPath,
    object: object,
    manager: string,
    signal: AbortSignal,
  ): Promise<Item> {
    const body = JSON.stringify({ apiVersion: path.resource.apiVersion, ...object });
    return (await this.#ask('POST', path, { query: { fieldManager: manager }, body, type: 'application/json' }, signal)) as Item;
  }

  /** What is gone already is no error. @param uid only that very one */
  async remove(path: ObjectPath, signal: AbortSignal, uid?: string): Promise<void> {
    const options = { propagationPolicy: 'Background', ...(uid !== undefined && { preconditions: { uid } }) };
    try {
      await this.#ask('DELETE', path, { body: JSON.stringify(options), type: 'application/json' }, signal);
    } catch (error) {
      if (!(error instanceof KubernetesError) || (error.status !== 404 && error.status !== 409)) throw error;
    }
  }

  /** What is no JSON: logs, and what is behind the API server's proxy. Any status is an answer. */
  async text(
    path: ObjectPath,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<{ readonly status: number; readonly text: string }> {
    return await this.#send('GET', path, { query, accept: '*/*' }, signal);
  }

  async #ask(method: Dispatcher.HttpMethod, path: ObjectPath, asked: Asked, signal: AbortSignal): Promise<unknown> {
    const { status, text, headers } = await this.#send(method, path, asked, signal);
    if (status < 300) return JSON.parse(text);
    const said = statusOf(text);
    const what = `${method} ${pathOf(path)} at ${this.context.name}`;
    const denied = `Kubernetes (${this.context.name}) says: ${said.message ?? 'no'}`;
    if (status === 401)
      throw new Refusal(
        'DeployRefused',
        `${what} was answered 401, so the API server does not know who we are, or the token has expired: renew the credentials of the kubeconfig, then retry`,
      );
    // A quota, a policy and an admission webhook answer so as well: it is not always a right that is missing.
    if (status === 403 && said.reason === 'Forbidden' && said.message?.includes('cannot'))
      throw new Forbidden(`${denied}: allow it by a Role and a RoleBinding, then retry`);
    if (status === 403) throw new Forbidden(denied);
    if (status === 429) {
      const seconds = Number(headers['retry-after'] ?? said.details?.retryAfterSeconds ?? 1) || 1;
      throw new RateLimit(denied, new Date(Date.now() + seconds * 1_000));
    }
    throw new KubernetesError(what, status, said);
  }

  async #send(method: Dispatcher.HttpMethod, path: ObjectPath, asked: Asked, signal: AbortSignal) {
    const first = await this.#sendOnce(method, path, asked, signal);
    if (first.status !== 401) return first;
    // The token may have been replaced since it was read.
    this.#forget(first.session);
    return await this.#sendOnce(method, path, asked, signal);
  }

  async #sendOnce(method: Dispatcher.HttpMethod, path: ObjectPath, { query, body, type, accept }: Asked, signal: AbortSignal) {
    await this.#take(signal);
    const session = await this.#connect(signal);
    const { credentials, connection } = session;
    const url = new URL(`${this.context.cluster.server.replace(/\/+$/, '')}${pathOf(path)}`);
    url.search = new URLSearchParams(query).toString();
    const deadline = AbortSignal.timeout(answerWithinMs);
    this.requests += 1;
    try {
      const answer = await connection.request({
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method,
        headers: {
          'user-agent': 'landfall',
          accept: accept ?? 'application/json',
          ...(type && { 'content-type': type }),
          ...(credentials.authorization && { authorization: credentials.authorization }),
        },
        ...(body !== undefined && { body }),
        signal: AbortSignal.any([signal, deadline]),
      });
      return { status: answer.statusCode, headers: answer.headers, text: await readText(answer.body), session };
    } catch (error) {
      signal.throwIfAborted();
      // A connection may have been cut with what it was made from: the kubeconfig is read anew.
      this.#forget(session);
      const why = deadline.aborted ? `did not answer within ${answerWithinMs / 1_000} s` : `did not answer: ${messageOf(error)}`;
      throw new Error(`Kubernetes (${this.context.name}, ${url.origin}) ${why}`, { cause: error });
    }
  }

  async #connect(signal: AbortSignal): Promise<OpenConnection> {
    const known = this.#session;
    if (known !== undefined && Date.now() < (known.credentials.validUntil ?? Number.POSITIVE_INFINITY)) return known;
    const { cluster } = this.context;
    const credentials = await readCredentials(this.context, this.#env, signal).catch(refusedBy);
    const tls: ConnectionTls = {
      ...(await authorityOf(cluster)),
      ...(cluster['tls-server-name'] && { servername: cluster['tls-server-name'] }),
      ...(cluster['insecure-skip-tls-verify'] && { verified: false }),
      ...(credentials.certificate !== undefined && { cert: credentials.certificate }),
      ...(credentials.key !== undefined && { key: credentials.key }),
    };
    // Of several requests that found none, the first has made one by now.
    if (this.#session !== known && this.#session !== undefined) return this.#session;
    const proxy = cluster['proxy-url'];
    const connection = keptConnection(
      new URL(cluster.server),
      connectWithinMs,
      tls,
      proxy === undefined ? undefined : new URL(proxy),
    );
    this.#forget(known);
    this.#session = { credentials, connection };
    return this.#session;
  }

  /** What is under way on it is answered still. */
  #forget(session: OpenConnection | undefined): void {
    if (this.#session === session) this.#session = undefined;
    session?.connection.close().catch(() => undefined);
  }

  async #take(signal: AbortSignal): Promise<void> {
    const now = performance.now();
    const bucket = this.#bucket;
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) / 1_000) * requestsPerSecond) - 1;
    bucket.at = now;
    if (bucket.tokens < 0) await pause((-bucket.tokens / requestsPerSecond) * 1_000, undefined, { signal });
  }
}

interface OpenConnection {
  readonly credentials: KubernetesCredentials;
  readonly connection: Dispatcher;
}

interface ListPage<Item> {
  readonly items?: readonly Item[];
  readonly metadata?: { readonly continue?: string };
}

interface Asked {
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly type?: string;
  readonly accept?: string;
}

/** By context: each API server is asked at one pace, whoever asks. */
export type KubernetesClients = (context: string | undefined) => Promise<KubernetesClient>;

/** The kubeconfig is read when it is first asked for, and again where it was no good. */
export function createKubernetesClients(env: Environment): KubernetesClients {
  const clients = new Map<string | undefined, KubernetesClient>();
  return async (name) => {
    const known = clients.get(name);
    const context = await readClusterContext(env, name).catch(refusedBy);
    if (known !== undefined && JSON.stringify(known.context) === JSON.stringify(context)) return known;
    const client = new KubernetesClient(context, env);
    clients.set(name, client);
    return client;
  };
}

function refusedBy(error: unknown): never {
  throw error instanceof KubeconfigError ? new Refusal('DeployRefused', error.message, [], { cause: error }) : error;
}

async function authorityOf(cluster: ClusterContext['cluster']): Promise<Pick<ConnectionTls, 'ca'>> {
  const { 'certificate-authority-data': data, 'certificate-authority': path } = cluster;
  if (data !== undefined) return { ca: data };
  if (path === undefined) return {};
  return {
    ca: await readFile(path).catch((error: unknown) =>
      refusedBy(new KubeconfigError(`expected the certificate authority ${path} of the kubeconfig: ${messageOf(error)}`)),
    ),
  };
}

function pathOf({ resource, namespace, name, sub }: ObjectPath): string {
  const { apiVersion, plural } = resource;
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const parts = [...(namespace === undefined ? [] : ['namespaces', namespace]), plural, ...(name === undefined ? [] : [name])];
  return [root, ...parts.map(encodeURIComponent), ...(sub === undefined ? [] : [sub])].join('/');
}

function statusOf(text: string): ApiStatus {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null ? parsed : {};
  } catch {
    // A proxy in between.
    return { message: text.slice(0, 300) };
  }
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > longestAnswer) throw new Error(`the answer is larger than ${longestAnswer} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
