import { BlockList, isIP } from 'node:net';
import type { Environment } from '../../domain/environment.ts';

/** Which requests go through which proxy. */
export interface ProxyRules {
  /** For `http:` addresses. */
  readonly plain?: URL;
  /** For `https:` addresses. */
  readonly secure?: URL;
  /** What is asked without a proxy, as `NO_PROXY` has it. */
  readonly except: readonly string[];
}

/**
 * `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, in lower or upper case; lower case counts where both are set, as in curl and git.
 * @throws Error if a proxy is no address; the message does not repeat it, as it may hold a password
 */
export function proxyRules(env: Environment): ProxyRules {
  const [plain, secure] = [proxyOf('HTTP_PROXY', env), proxyOf('HTTPS_PROXY', env)];
  const except = settingOf('NO_PROXY', env).split(/[\s,]+/);
  return { ...(plain && { plain }), ...(secure && { secure }), except: except.filter((entry) => entry !== '') };
}

function settingOf(name: string, env: Environment): string {
  return env[name.toLowerCase()] || env[name] || '';
}

function proxyOf(name: string, env: Environment): URL | undefined {
  const value = settingOf(name, env);
  if (value === '') return undefined;
  const address = value.includes('://') ? value : `http://${value}`;
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  throw new Error(`${name}: expected the address of a proxy, as http://proxy.example.org:3128, found something else`);
}

/** The proxy for an address; undefined: it is asked directly. */
export function proxyFor(url: URL, { plain, secure, except }: ProxyRules): URL | undefined {
  const proxy = url.protocol === 'https:' ? secure : plain;
  return proxy === undefined || except.some((entry) => covers(entry, url)) ? undefined : proxy;
}

/**
 * Whether an entry of `NO_PROXY` names the host: `*`; `example.org`, which covers what is below it too, as `.example.org` and
 * `*.example.org` do; an address or a network (`10.0.0.0/8`). A port at its end has to be that of the request.
 */
function covers(entry: string, url: URL): boolean {
  if (entry === '*') return true;
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (entry.includes('/')) return isWithin(host, entry);
  const [, name = '', port] = /^(\[[^\]]*\]|[^:]*|.*:.*:.*?)(?::(\d+))?$/.exec(entry) ?? [];
  if (port !== undefined && port !== (url.port || (url.protocol === 'https:' ? '443' : '80'))) return false;
  const wanted = name
    .replace(/^\[|\]$/g, '')
    .replace(/^\*?\./, '')
    .toLowerCase();
  return wanted !== '' && (host === wanted || (isIP(host) === 0 && host.endsWith(`.${wanted}`)));
}

function isWithin(host: string, network: string): boolean {
  const [address = '', bits = ''] = network.split('/');
  const family = isIP(address);
  if (family === 0 || isIP(host) !== family || !/^\d+$/.test(bits) || Number(bits) > (family === 4 ? 32 : 128)) return false;
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(address, Number(bits), type);
  return list.check(host, type);
}
