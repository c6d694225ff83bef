import type { IncomingMessage } from 'node:http';
import { hostname } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import { codeLoginPath, createEventFeed, createReadJob, createSessions, type OperatorParts } from '../api/index.ts';
import type { Configuration } from '../config/configuration.ts';
import type { Audit } from '../domain/audit.ts';
import type { Environment } from '../domain/environment.ts';
import { createCodeLogin } from '../http/oidc/code-login.ts';
import { baseOf } from '../http/origin.ts';
import { type ExplanationInput, explainImage, listChanged } from '../operations/index.ts';
import { createIsForUs } from '../platform/http/own-name.ts';
import { createIsWithin } from '../settings/networks.ts';
import { withRegistry } from './diagnosis.ts';
import type { Logging } from './logging.ts';
import { createLoginKeys } from './login-keys.ts';
import { createOperatorsPage } from './operators-page.ts';
import { packageVersion } from './package-version.ts';
import type { CurrentConfiguration } from './reload.ts';
import type { Temporal } from './temporal.ts';

/**
 * Who may ask the operators' listener, and what its API and its page are made with.
 * @param webhooks where pushes can be told, once the ports are known
 * @param env that of the process, for the credentials of registries
 * @returns `isForUs`: see OperatorAppDependencies; `heard` tells those who listen to events of decisions; `stop` ends that
 */
export function operatorParts(
  current: CurrentConfiguration,
  temporal: Pick<Temporal, 'client' | 'namespace' | 'uiUrl'>,
  { log, audit, secrets }: Pick<Logging, 'log' | 'audit' | 'secrets'>,
  webhooks: () => readonly string[],
  env: Environment,
): OperatorParts & { readonly isForUs: (request: IncomingMessage) => boolean; readonly heard: Audit; readonly stop: () => void } {
  const { client } = temporal;
  const configuration = () => current.configuration;
  const login = () => current.configuration.login;
  const keys = createLoginKeys(current, secrets);
  const sessions = createSessions({ login, cookieKey: async () => (await keys()).cookies });
  const feed = createEventFeed({ changedSince: (time) => listChanged(client, time), log });
  const isProxy = createIsWithin(current.configuration.listen.trustedProxies);
  const people = {
    ...{ configuration, secrets, sessions, log },
    baseOf: (request: IncomingMessage) => baseOf(request, isProxy),
    vouchKey: async () => (await keys()).vouch,
    codeLogin: madeOf(login, (now) => codeLoginOf(now, { log, secrets })),
  };
  const explain = (input: ExplanationInput) => {
    const read = configuration();
    return withRegistry(read, env, (registry) => explainImage({ client, registry, configuration: read }, input));
  };
  const page = createOperatorsPage(current, temporal, { ...people, audit }, webhooks, explain);
  return {
    page,
    // Only the API believes jobs: whoever the page lets in sees all of it.
    people: { ...people, readJob: madeOf(login, (now) => createReadJob(now, { log })) },
    version: packageVersion(),
    api: { client, feed, audit, log, configuration, explain },
    isForUs: createIsForUsNow(current),
    heard: feed.heard,
    stop: () => {
      feed.stop();
      page.stop();
    },
  };
}

/** By the names of this machine, of the listener as it was started, and of where browsers have it now. */
function createIsForUsNow(current: CurrentConfiguration): (request: IncomingMessage) => boolean {
  const { operators, operatorNames = [] } = current.configuration.listen;
  const names = [operators.host, hostname(), ...operatorNames];
  return (request) => {
    const { url } = current.configuration.login;
    return createIsForUs('network', url === undefined ? names : [...names, new URL(url).hostname])(request);
  };
}

/** Keeps what is made, with what it has learned such as keys, until what it is made of says something else. */
function madeOf<Of, Made>(of: () => Of, make: (of: Of) => Made): () => Made {
  let known: { readonly of: Of; readonly made: Made } | undefined;
  return () => {
    const now = of();
    if (known === undefined || !isDeepStrictEqual(known.of, now)) known = { of: now, made: make(now) };
    return known.made;
  };
}

function codeLoginOf({ oidc, url }: Configuration['login'], { log, secrets }: Pick<Logging, 'log' | 'secrets'>) {
  if (oidc === undefined || url === undefined) return undefined;
  const { issuer, clientId, clientSecret, scopes, name, groups } = oidc;
  return createCodeLogin({
    ...{ issuer, clientId, scopes, name, groups, log },
    clientSecret: () => (clientSecret === undefined ? undefined : secrets(clientSecret)),
    redirectUrl: `${url}${codeLoginPath}`,
  });
}
