import { type Call, notFound, onRepository, type Reply, type Routes } from '../routing.ts';
import * as shapes from '../shapes.ts';
import type { Delivery, WebhookTarget } from '../webhooks.ts';

/** Webhooks and what was delivered to them: https://docs.github.com/rest/repos/webhooks, https://docs.github.com/rest/orgs/webhooks */

/** The emulator has one webhook. */
const hookId = 1;

/** Whose webhooks are asked about: where they are in the API, and which deliveries are theirs. */
interface Owner {
  readonly call: Call;
  readonly path: string;
  readonly target: WebhookTarget | undefined;
  readonly isOf: (delivery: Delivery) => boolean;
}

type Answer = (owner: Owner) => Promise<Reply>;

async function listHooks({ call, path, target }: Owner): Promise<Reply> {
  if (target === undefined) return { status: 200, body: [] };
  const url = `${call.world.url}${path}/${hookId}`;
  const body = {
    type: target.organization ? 'Organization' : 'Repository',
    id: hookId,
    name: 'web',
    active: true,
    events: ['*'],
    config: { url: target.url, content_type: 'json', insecure_ssl: '0', secret: '********' },
    updated_at: '2026-01-01T00:00:00Z',
    created_at: '2026-01-01T00:00:00Z',
    url,
    ping_url: `${url}/pings`,
    deliveries_url: `${url}/deliveries`,
    ...(!target.organization && { test_url: `${url}/test`, last_response: { code: null, status: 'unused', message: null } }),
  };
  return { status: 200, body: [body] };
}

async function listDeliveries(owner: Owner): Promise<Reply> {
  const { call, path } = owner;
  checkHook(owner);
  const all = call.world.webhooks.deliveries.filter(owner.isOf).reverse();
  const from = all.findIndex(({ attempt }) => String(attempt) === call.query.get('cursor'));
  const start = call.query.has('cursor') ? from : 0;
  const size = Math.min(Number(call.query.get('per_page') ?? 30), 100);
  const next = all[start + size];
  const link = `<${call.world.url}${path}/${hookId}/deliveries?per_page=${size}&cursor=${next?.attempt}>; rel="next"`;
  return {
    status: 200,
    body: all.slice(start, start + size).map(deliveryShape),
    headers: next === undefined ? {} : { link },
  };
}

function deliveryShape({ attempt, id, at, redelivery, status, event, body }: Delivery) {
  return {
    id: attempt,
    guid: id,
    delivered_at: at,
    redelivery,
    duration: 0.03,
    status: status === 0 ? 'failed to connect' : status < 300 ? 'OK' : `Invalid HTTP Response: ${status}`,
    status_code: status,
    event,
    action: typeof body.action === 'string' ? body.action : null,
    installation_id: null,
    repository_id: null,
    throttled_at: null,
  };
}

async function redeliver(owner: Owner): Promise<Reply> {
  const { call } = owner;
  checkHook(owner);
  const { webhooks } = call.world;
  const found = webhooks.deliveries.find(
    (delivery) => owner.isOf(delivery) && String(delivery.attempt) === call.parameters.delivery_id,
  );
  if (found === undefined) throw notFound();
  webhooks.redeliver(found);
  return { status: 202, body: {} };
}

function checkHook({ call, target }: Owner): void {
  if (target === undefined || call.parameters.hook_id !== String(hookId)) throw notFound();
}

function ofRepository(answer: Answer) {
  return onRepository(['repository_hooks=write'], (call) => {
    const { target } = call.world.webhooks;
    const path = new URL(`${shapes.repositoryUrl(call.world, call.repository)}/hooks`).pathname;
    const isOf = ({ repository }: Delivery): boolean => repository === call.repository.fullName;
    return answer({ call, path, target: target?.organization ? undefined : target, isOf });
  });
}

function ofOrganization(answer: Answer) {
  return {
    needs: ['organization_hooks=write'],
    answer: async (call: Call) => {
      const org = (call.parameters.org ?? '').toLowerCase();
      const isOwner = [...call.world.repositories.values()].some(({ owner }) => owner.toLowerCase() === org);
      if (!isOwner) throw notFound();
      const { target } = call.world.webhooks;
      const isOf = ({ repository }: Delivery): boolean => repository.toLowerCase().startsWith(`${org}/`);
      return answer({
        call,
        path: `/orgs/${call.parameters.org}/hooks`,
        target: target?.organization ? target : undefined,
        isOf,
      });
    },
  };
}

export const hookRoutes: Routes = {
  'repos/list-webhooks': ofRepository(listHooks),
  'repos/list-webhook-deliveries': ofRepository(listDeliveries),
  'repos/redeliver-webhook-delivery': ofRepository(redeliver),
  'orgs/list-webhooks': ofOrganization(listHooks),
  'orgs/list-webhook-deliveries': ofOrganization(listDeliveries),
  'orgs/redeliver-webhook-delivery': ofOrganization(redeliver),
};
