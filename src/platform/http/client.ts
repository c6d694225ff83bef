import { Agent, buildConnector, Dispatcher, ProxyAgent, fetch as undiciFetch } from 'undici';
import type { Environment } from '../../domain/environment.ts';
import { codeOf } from '../../domain/errors.ts';
import { type AddressKind, kindByLooks, kindOfAddress, lesserKind, lookupFor, refuseByLooks } from './addresses.ts';
import { type ProxyRules, proxyFor, proxyRules } from './proxies.ts';

// Every HTTP request of Landfall's own goes out here. Why: docs/decisions/0026-one-http-client.md.

/** Who is remembered at most: beyond that all are forgotten, and count as outside until they are asked again. */
const mostRemembered = 10_000;
/** For an answer to begin, where whoever asks has no limit of their own. Undici's is five minutes, and a search for builds may take ten. */
const longestSilenceMs = 15 * 60_000;

/** Sends each request directly, or through the proxy that the rules name for its address. */
class Route extends Dispatcher {
  readonly rules: ProxyRules;
  readonly #from: AddressKind | undefined;
  /** By origin: where it was when we asked it. Of several kinds of address, the one that can send us to the fewest. */
  readonly #reached: Map<string, AddressKind>;
  readonly #agents = new Map<string, Dispatcher>();
  readonly #sent = new Map<AddressKind, Route>();

  /** @param from where those are that name the addresses; absent: our own configuration does */
  constructor(rules: ProxyRules, from?: AddressKind, reached = new Map<string, AddressKind>()) {
    super();
    this.rules = rules;
    this.#from = from;
    this.#reached = reached;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const url = options.origin === undefined ? undefined : new URL(options.origin);
    if (url !== undefined && this.#from !== undefined) refuseByLooks(url.hostname, this.#from);
    const proxy = url && proxyFor(url, this.rules);
    const key = proxy?.href ?? '';
    const agent = this.#agents.get(key) ?? this.#agentFor(proxy);
    this.#agents.set(key, agent);
    return agent.dispatch({ headersTimeout: longestSilenceMs, ...options }, handler);
  }

  /** The way to an address that others have named, who were asked before: where they are decides how far it goes. */
  namedBy(urls: readonly URL[]): Route {
    const from = urls.map((url) => this.kindOf(url)).reduce(lesserKind, 'loopback');
    const route = this.#sent.get(from) ?? new Route(this.rules, from, this.#reached);
    this.#sent.set(from, route);
    return route;
  }

  /** Where it was when it was asked. What never was, or where only a proxy knows, counts as outside. */
  kindOf(url: URL): AddressKind {
    return this.#reached.get(url.origin) ?? kindByLooks(url.hostname) ?? 'public';
  }

  #agentFor(proxy: URL | undefined): Dispatcher {
    // Behind a proxy it is the proxy that resolves names, and has its own rules about where they may lead.
    if (proxy !== undefined) return new ProxyAgent(proxyOptions(proxy));
    const connect = buildConnector(this.#from === undefined ? {} : { lookup: lookupFor(this.#from) });
    return new Agent({
      connect: (to, done) =>
        connect(to, (...[error, socket]) => {
          if (error !== null) return done(error, null);
          this.#remember(to, socket.remoteAddress);
          return done(null, socket);
        }),
    });
  }

  #remember({ protocol, hostname, port }: buildConnector.Options, address: string | undefined): void {
    if (address === undefined) return;
    const host = hostname.includes(':') ? `[${hostname}]` : hostname;
    const { origin } = new URL(`${protocol}//${host}:${port || (protocol === 'https:' ? 443 : 80)}`);
    const known = this.#reached.get(origin);
    if (known === undefined && this.#reached.size >= mostRemembered) this.#reached.clear();
    const kind = kindOfAddress(address);
    this.#reached.set(origin, known === undefined ? kind : lesserKind(known, kind));
  }
}

/** Only TLS is tunnelled (CONNECT): many proxies refuse tunnels to the port of plain HTTP, and forward such requests instead. */
function proxyOptions(proxy: URL): ProxyAgent.Options {
  const authorization = credentialsOf(proxy);
  return {
    uri: withoutCredentials(proxy).href,
    proxyTunnel: false,
    ...(authorization !== undefined && { token: authorization }),
  };
}

let route = new Route({ except: [] });

/** From now on requests go through the proxies of the environment, see `proxyRules`. @throws Error if one of them is no address */
export function useProxies(env: Environment): void {
  route = new Route(proxyRules(env));
}

/** What requests of ours, of octokit and of jose are made of. */
export interface HttpInit extends Pick<RequestInit, 'method' | 'redirect' | 'signal'> {
  readonly headers?: Headers | Readonly<Record<string, string>>;
  /** A file as `openAsBlob` of node:fs gives it is sent piece by piece, with its length. */
  readonly body?: string | Uint8Array | Blob;
  /** Who has named the address, by redirects or in an answer: each sends us to nowhere that he does not reach himself. */
  readonly namedBy?: readonly [URL, ...URL[]];
}

/** The standard's `fetch`, for libraries and for streams. @throws TypeError with the reason as its cause; the signal's reason */
export async function httpFetch(url: string | URL, { namedBy, ...init }: HttpInit = {}): Promise<Response> {
  const dispatcher = namedBy === undefined ? route : route.namedBy(namedBy);
  // Pairs, because to undici the Headers of Node are none.
  return await undiciFetch(url, { ...init, headers: [...new Headers(init.headers)], dispatcher });
}

/** Whether it was asked, and is where not everybody can ask it. */
export function isInternal(url: URL): boolean {
  return route.kindOf(url) !== 'public';
}

/** What is shown to the other side and asked of it; keys and certificates in PEM. */
export interface ConnectionTls {
  /** Trusted in place of the usual authorities. */
  readonly ca?: Buffer | string;
  readonly cert?: string;
  readonly key?: string;
  /** The name in the certificate, where it is not that of the address. */
  readonly servername?: string;
  /** False: any certificate will do. Absent: it is verified, whatever NODE_TLS_REJECT_UNAUTHORIZED says. */
  readonly verified?: false;
}

/** For one request, to be destroyed after it. @param timeoutMs for connecting */
export function ownConnection(url: URL, timeoutMs: number, tls: ConnectionTls = {}): Dispatcher {
  const proxy = proxyFor(url, route.rules);
  if (proxy === undefined) return new Agent({ connect: tlsOptions(tls, timeoutMs), pipelining: 0 });
  return tunnel(proxy, tls, timeoutMs);
}

/** For many requests, until it is destroyed. @param by a proxy that is to be used whatever the environment says */
export function keptConnection(url: URL, timeoutMs: number, tls: ConnectionTls, by?: URL): Dispatcher {
  const proxy = by ?? proxyFor(url, route.rules);
  return proxy === undefined ? new Agent({ connect: tlsOptions(tls, timeoutMs) }) : tunnel(proxy, tls, timeoutMs);
}

function tunnel(proxy: URL, tls: ConnectionTls, timeoutMs: number): Dispatcher {
  return new ProxyAgent({ ...proxyOptions(proxy), requestTls: tlsOptions(tls, timeoutMs), proxyTls: { timeout: timeoutMs } });
}

function tlsOptions({ verified, ...tls }: ConnectionTls, timeout: number): buildConnector.BuildOptions {
  return { timeout, rejectUnauthorized: verified ?? true, ...tls };
}

export interface HttpRequest {
  /** What is asked, for errors. Not its address where that is a secret. */
  readonly what: string;
  readonly method: 'GET' | 'POST' | 'PATCH';
  /** May carry `user:password@`: it becomes an Authorization header. */
  readonly url: URL;
  readonly namedBy?: HttpInit['namedBy'];
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly signal?: AbortSignal;
  /** Milliseconds from the request to the last byte of its answer. */
  readonly timeoutMs: number;
  /** Bytes of the answer's body that are read at most; absent: it is not read. */
  readonly longestAnswer?: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/**
 * Sends a request and reads its whole answer, whatever its status. Redirects are not followed: who may be asked at one address has not
 * allowed another, and a POST would become a GET.
 * @throws BodyTooLarge, HttpFailure, and the signal's reason once it is aborted
 */
export async function request(asked: HttpRequest): Promise<HttpAnswer> {
  const { what, method, url, namedBy, headers, body, signal, timeoutMs, longestAnswer } = asked;
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    const authorization = credentialsOf(url);
    const answer = await httpFetch(withoutCredentials(url), {
      method,
      headers: { 'user-agent': 'landfall', ...(authorization !== undefined && { authorization }), ...headers },
      ...(body !== undefined && { body }),
      signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
      redirect: 'manual',
      ...(namedBy !== undefined && { namedBy }),
    });
    const { status, headers: answered } = answer;
    if (longestAnswer === undefined) {
      await answer.body?.cancel();
      return { status, headers: answered, text: '' };
    }
    const bytes = await readBody(answer, longestAnswer, `the answer of ${what}`, timeoutMs);
    return { status, headers: answered, text: bytes.toString('utf8') };
  } catch (error) {
    signal?.throwIfAborted();
    throw error instanceof BodyTooLarge || error instanceof HttpFailure ? error : new HttpFailure(what, error, timeoutMs);
  }
}

export class BodyTooLarge extends Error {
  constructor(what: string, limit: number) {
    super(`${what} is larger than ${limit} bytes`);
    this.name = 'BodyTooLarge';
  }
}

/**
 * @param limit bytes, after any content encoding is undone
 * @param what what it is, and `timeoutMs` what the request was given: for the error
 * @throws BodyTooLarge, or HttpFailure if the connection breaks
 */
export async function readBody(answer: Response, limit: number, what: string, timeoutMs: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    // Leaving the loop by an error cancels the stream, so nothing more is received.
    for await (const chunk of answer.body ?? []) {
      size += chunk.length;
      if (size > limit) throw new BodyTooLarge(what, limit);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof BodyTooLarge ? error : new HttpFailure(what, error, timeoutMs);
  }
  return Buffer.concat(chunks);
}

/** A request that got no answer, or not all of it, or not in time. Without a cause: messages of `fetch` show addresses, which may be secret. */
export class HttpFailure extends Error {
  /** `was not answered within 30 s`, `failed: ECONNREFUSED`: what comes after the name of what was asked. */
  readonly reason: string;

  /** @param error what `fetch` threw, which says no more than "fetch failed" or "terminated": what happened is in its cause */
  constructor(what: string, error: unknown, timeoutMs: number) {
    const isLate = error instanceof DOMException && error.name === 'TimeoutError';
    const reason = isLate ? `was not answered within ${timeoutMs / 1_000} s` : `failed: ${reasonOf(error)}`;
    super(`${what} ${reason}`);
    this.name = 'HttpFailure';
    this.reason = reason;
  }
}

const refusalOfProxy = /^Proxy (?:response|Authentication Required) \((\d+)\)/;

/** Why it failed, with what to do about it if that is known; never an address. */
function reasonOf(error: unknown): string {
  const chain: Error[] = [];
  for (let at = error; at instanceof Error; at = at.cause) chain.push(at);
  const status = chain.map(({ message }) => refusalOfProxy.exec(message)?.[1]).find((found) => found !== undefined);
  if (status !== undefined) return `the proxy answered ${status} (see HTTP_PROXY, HTTPS_PROXY and NO_PROXY)`;
  const code = chain.map(codeOf).find((found) => typeof found === 'string');
  // Of what has no code, fetch's own message may show the address; that of its cause does not.
  const reason = String(code ?? chain[1]?.message ?? chain[0]?.name ?? 'unknown error');
  const advice = adviceFor(reason);
  return `${reason}${advice === undefined ? '' : ` (${advice})`}`;
}

/** What to do about a TLS error, because OpenSSL's messages do not say. */
function adviceFor(code: string): string | undefined {
  if (/^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/.test(code) || /wrong version number/.test(code)) {
    return 'no TLS is spoken there: correct the address, or set plainHttp: true for the host under registries';
  }
  if (code === 'CERT_HAS_EXPIRED') return "the server's certificate has expired: renew it there";
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return "the server's certificate is for another host name: correct the address, or the certificate";
  if (/SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)/.test(code)) {
    return "nobody here knows who issued the server's certificate: let NODE_EXTRA_CA_CERTS name a file with that authority's certificate";
  }
  return undefined;
}

/** The Authorization header for `user:password@` in an address. */
function credentialsOf({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  return basicAuthorization({ username: decodeURIComponent(username), password: decodeURIComponent(password) });
}

/** HTTP Basic authentication (RFC 7617). */
export function basicAuthorization({ username, password }: { readonly username: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** `fetch` refuses an address with credentials, in a message that shows it. */
function withoutCredentials(url: URL): URL {
  return Object.assign(new URL(url), { username: '', password: '' });
}
