import type { Environment } from '../domain/environment.ts';
import { messageOf } from '../domain/errors.ts';
import { Refused } from '../operations/errors.ts';
import type { ApiPlace, Operations } from '../operations/operations.ts';
import { useProxies } from '../platform/http/client.ts';
import { proxyFor, proxyRules } from '../platform/http/proxies.ts';
import { createAsk } from './ask.ts';
import { apiOperations } from './operations.ts';

/** The operations of a Landfall, by its API. Nothing is asked before the first of them. @throws Refused where a proxy is no address */
export async function reachApi(place: ApiPlace, env: Environment): Promise<Operations> {
  const proxy = proxyOf(place.url, env);
  if (proxy !== undefined && place.url.protocol === 'http:')
    throw new Refused(
      `the proxy ${proxy.host} (HTTP_PROXY) would read the token on its way to ${place.url.origin}: add ${place.url.hostname} to NO_PROXY`,
    );
  useProxies(env);
  return apiOperations(place, createAsk(place));
}

function proxyOf(url: URL, env: Environment): URL | undefined {
  try {
    return proxyFor(url, proxyRules(env));
  } catch (error) {
    throw new Refused(messageOf(error), { cause: error });
  }
}
