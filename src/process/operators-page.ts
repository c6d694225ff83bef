import type { Context } from 'koa';
import { stringify } from 'yaml';
import { type AskerDependencies, createWhoAsks } from '../api/index.ts';
import type { Configuration } from '../config/configuration.ts';
import { planOf } from '../config/plans.ts';
import {
  configuredServices,
  type ExplanationInput,
  explainInput,
  type ImageExplanation,
  parseInput,
} from '../operations/index.ts';
import { createPage, type Page, type PageDependencies, type UnknownViewer, type Viewer } from '../page/index.ts';
import type { CurrentConfiguration } from './reload.ts';
import type { Temporal } from './temporal.ts';

/**
 * The page, with what it has to know of this process.
 * @param webhooks where pushes can be told, once the ports are known
 * @param explain what a push would come to: asks registries
 */
export function createOperatorsPage(
  current: CurrentConfiguration,
  { client, namespace, uiUrl }: Pick<Temporal, 'client' | 'namespace' | 'uiUrl'>,
  people: AskerDependencies & Pick<PageDependencies, 'log' | 'audit' | 'baseOf'>,
  webhooks: () => readonly string[],
  explain: (input: ExplanationInput) => Promise<ImageExplanation>,
): Page {
  const { file } = current.configuration;
  const whoAsks = createWhoAsks(people);
  const linkTo = (id: string) => `${uiUrl}/namespaces/${encodeURIComponent(namespace)}/workflows/${encodeURIComponent(id)}`;
  return createPage({
    ...{ client, log: people.log, audit: people.audit, baseOf: people.baseOf },
    viewerOf: viewers(whoAsks, people.sessions),
    mayLookNow: async (request) => !('refused' in (await whoAsks(request))),
    ownUrl: () => current.configuration.login.url,
    loginWays: () => {
      const { operators, login } = current.configuration;
      return { token: operators.some(({ token }) => token !== undefined), oidc: login.oidc !== undefined };
    },
    configuration: async () => current.configuration,
    configured: () => configuredServices(current.configuration),
    describeService: (name) => describe(current.configuration, name),
    explainTag: async (name, tag) => {
      const plan = planOf(current.configuration, name);
      if (plan === undefined) return undefined;
      return await explain(parseInput(explainInput, { image: `${plan.repository}:${tag}` }));
    },
    firstPush: () => ({ file, services: current.configuration.services.length, webhooks: webhooks() }),
    ...(uiUrl !== undefined && { linkTo }),
  });
}

/** As the API knows people. */
function viewers(
  whoAsks: ReturnType<typeof createWhoAsks>,
  sessions: AskerDependencies['sessions'],
): (context: Context) => Promise<Viewer | UnknownViewer> {
  return async ({ req, res, method }) => {
    const asker = await whoAsks(req);
    if ('refused' in asker) return asker;
    const { name, way, actor, roles, byCookie } = asker;
    if (byCookie && method === 'GET') await sessions.keep(req, res);
    const mayOperate = roles.includes('operate');
    return {
      actor,
      mayOperate,
      mayApprove: roles.includes('approve'),
      isLoggedIn: byCookie,
      ...(way !== 'unverified' && { name }),
    };
  };
}

/** Secrets are references in it. */
function describe(configuration: Configuration, service: string): string | undefined {
  const plan = planOf(configuration, service);
  return plan && stringify(plan, { aliasDuplicateObjects: false });
}
