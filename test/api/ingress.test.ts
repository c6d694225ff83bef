import assert from 'node:assert/strict';
import type { Client } from '@temporalio/client';
import { createReachTemporal } from '../../src/api/operators/app.ts';
import { type AcceptDependencies, type AcceptPushes, createAcceptPushes } from '../../src/api/webhooks/accept-pushes.ts';
import type { PlanFinders } from '../../src/api/webhooks/plan-starts.ts';
import type { PassThroughStart, ResolveRequest, RolloutStart } from '../../src/contracts/messages.ts';
import type { Log } from '../../src/domain/log.ts';
import type { Plan } from '../../src/domain/plan.ts';
import { sources } from '../../src/sources/index.ts';
import { createReceivers, onlyRoutine } from '../../src/sources/kit/source.ts';
import { startTemporal, type TestTemporal } from '../support/temporal.ts';
import {
  distributionToken,
  exactly,
  findersOf,
  githubSecret,
  type Ingress,
  oldGithubSecret,
  planOf,
  startIngress,
} from './support/ingress.ts';
import { contextOf } from './support/receivers.ts';
import { bearer, githubSignature, smallestGithubEvent, type Vector, vectorsOf } from './support/vectors.ts';

const github = '/webhook/image-published';
const distribution = '/webhook/distribution';

/** No worker runs here: what was started stays as it was started, and can be looked at. */
describe('the ingress with Temporal', function () {
  this.timeout(60_000);
  let temporal: TestTemporal;
  const running: Ingress[] = [];
  before(async () => {
    temporal = await startTemporal();
  });
  afterEach(async () => {
    for (const ingress of running.splice(0)) await ingress.listeners.stop();
  });
  after(async () => {
    await temporal.stop();
  });

  const start = async (finders: PlanFinders, others: Partial<AcceptDependencies> = {}): Promise<Ingress> => {
    const { client } = temporal;
    const acceptPushes = (log: Log): AcceptPushes =>
      createAcceptPushes({ client, ...finders, isNamespaceReady: async () => true, log, ...others });
    const ingress = await startIngress({ acceptPushes, reachTemporal: createReachTemporal(client) });
    running.push(ingress);
    return ingress;
  };

  for (const source of ['github', 'distribution'] as const) {
    for (const vector of vectorsOf(source)) {
      it(`starts exactly the listed images of ${source}/${vector.name}`, async () => {
        const prefix = `${source}-${vector.name}`;
        const ingress = await start(followingEverything(prefix));
        const answer = await send(ingress, source, vector);
        const expectedStatus = vector.status ?? (vector.images.length > 0 ? 202 : 200);
        assert.equal(answer.status, expectedStatus);
        const body = (await answer.json()) as Answer;
        if (expectedStatus === 200) assert.ok((body.ignored ?? '').length > 0);
        const started = await Promise.all((body.rollouts ?? []).map(({ id }) => startedRollout(temporal.client, id)));
        const asked = await Promise.all((body.resolving ?? []).map(({ id }) => askedLookUp(temporal.client, id)));
        const images = [
          ...started.map(({ image: { repository, tag, digest } }) => ({ repository, tag, digest: digest as string | null })),
          ...asked.map(({ push: { repository, tag } }) => ({ repository, tag, digest: null })),
        ];
        assert.deepEqual(images, vector.images);
        // What a registry tells of each pull and each layer is only counted.
        const isRoutine = body.ignored === onlyRoutine;
        if (isRoutine) assert.equal(ingress.audited().length, 0);
        else
          assert.equal(ingress.audited().at(-1)?.outcome, { 202: 'accepted', 200: 'ignored', 400: 'malformed' }[expectedStatus]);
      });
    }
  }

  it('answers with what it started, and writes it down', async () => {
    const service = 'answered';
    const ingress = await start(findersOf([planOf(service, '127.0.0.1:5055/team/app', exactly('1.2.3'))]));
    const [vector] = vectorsOf('distribution').filter(({ name }) => name === 'push-manifest');
    assert.ok(vector !== undefined);
    const answer = await send(ingress, 'distribution', vector);
    const id = `rollout:${service}:1.2.3:6e338857c61c`;
    const image = '127.0.0.1:5055/team/app:1.2.3@sha256:6e338857c61ce1878f7cbd568163c1a201ce0cd17e77275b388e689f60ecaef9';
    assert.equal(answer.status, 202);
    assert.deepEqual(await answer.json(), { rollouts: [{ id, service, image }], resolving: [] });
    const line = ingress.audited().at(-1);
    assert.deepEqual(line?.rollouts, [id]);
    assert.equal(line?.service, service);
    assert.deepEqual([line?.image, line?.repository], ['127.0.0.1:5055/team/app', null]);
    assert.equal(line?.action, 'push');
    assert.match(
      await (await fetch(`${ingress.operatorsUrl}/metrics`)).text(),
      /landfall_rollouts_started_total\{service="answered"\} 1/,
    );
  });

  it('looks at the other exact tags of a repository, of which GitHub names only one', async () => {
    const repository = 'ghcr.io/myuser/myapp';
    const ingress = await start(
      findersOf([
        planOf('several-named', repository, exactly('v1.0.0', 'latest')),
        planOf('several-unnamed', repository, exactly('stable')),
        planOf('several-ordered', repository, { kind: 'semver', range: '>=9' }),
      ]),
    );
    const digest = `sha256:${'ab'.repeat(32)}`;
    const event = { name: 'myapp', package_type: 'container', owner: { login: 'myuser' } };
    const version = { container_metadata: { tag: { name: 'v1.0.0', digest } } };
    const answer = await sendGithub(ingress, 'package', { action: 'published', package: { ...event, package_version: version } });
    const body = (await answer.json()) as Answer;
    assert.deepEqual(
      [body.rollouts?.map(({ service }) => service), body.resolving?.map(({ service }) => service)],
      [['several-named'], ['several-named', 'several-unnamed']],
    );
    assert.deepEqual((await askedLookUp(temporal.client, 'resolve:several-unnamed')).plan.tags, exactly('stable'));
  });

  it('passes a push on whole, once for all of its tags and once for its delivery', async () => {
    const followed = planOf('passed', 'quay.io/mynamespace/repository', { kind: 'pattern', pattern: '.*', order: 'newest' });
    const dispatch = { event: 'pushed', payload: 'image-push', per: 'push' } as const;
    const plan: Plan = { ...followed, stages: [{ name: 'production', rollback: 'off', dispatch }] };
    const [quay] = createReceivers(sources, { quay: { secrets: ['env:QUAY'] } }, contextOf({ QUAY: 'secret-of-quay' }));
    assert.ok(quay);
    const { client } = temporal;
    const acceptPushes = (log: Log) =>
      createAcceptPushes({ client, ...findersOf([plan]), isNamespaceReady: async () => true, log, linkTo: (id) => `see:${id}` });
    const ingress = await startIngress({ receivers: {}, ownReceivers: [quay], acceptPushes });
    running.push(ingress);
    const build = {
      build_id: 'b-1',
      docker_url: 'quay.io/mynamespace/repository',
      docker_tags: ['v1', 'latest', 'v1.0'],
      image_id: 'i',
    };
    const send = async () => {
      const headers = { 'Content-Type': 'application/json' };
      const answer = await ingress.post('/webhook/quay/secret-of-quay', JSON.stringify(build), headers);
      return { status: answer.status, body: (await answer.json()) as object };
    };
    const id = 'pass-through:passed:b-1';
    const forwarding = [{ id, service: 'passed', image: 'quay.io/mynamespace/repository:v1', link: `see:${id}` }];
    assert.deepEqual(await send(), { status: 202, body: { rollouts: [], resolving: [], forwarding } });
    const handle = client.workflow.getHandle(id);
    const { runId } = await handle.describe();
    await handle.terminate();
    // What has failed is passed on again, and what goes on is not.
    assert.equal((await send()).status, 202);
    const again = (await handle.describe()).runId;
    assert.notEqual(again, runId);
    assert.deepEqual(ingress.audited().at(-1)?.forwarding, [id]);
    const ignored = `it was passed on before: ${id}`;
    assert.deepEqual(await send(), { status: 200, body: { ignored } });
    assert.deepEqual([ingress.audited().at(-1)?.outcome, ingress.audited().at(-1)?.ignored], ['ignored', ignored]);
    assert.equal((await handle.describe()).runId, again);
    const event = (await handle.fetchHistory()).events?.[0]?.workflowExecutionStartedEventAttributes;
    const { pushes } = decode(event?.input?.payloads?.[0]?.data) as PassThroughStart;
    assert.deepEqual(
      pushes.map(({ tag }) => tag),
      ['v1', 'latest', 'v1.0'],
    );
    assert.match(
      await (await fetch(`${ingress.operatorsUrl}/metrics`)).text(),
      /landfall_forwards_started_total\{service="passed"\} 2/,
    );
  });

  it('passes a package event of GitHub on once, also where it is sent again under another id, which nobody signs', async () => {
    const dispatch = { event: 'pushed', payload: 'image-push', per: 'push' } as const;
    const stages = [{ name: 'production', rollback: 'off', dispatch }] as const;
    const ingress = await start(findersOf([{ ...planOf('once', smallestImage, exactly('latest')), stages }]));
    const raw = JSON.stringify(smallestGithubEvent);
    const send = async (delivery: string, body = raw) => {
      const headers = { 'Content-Type': 'application/json', 'X-GitHub-Event': 'registry_package', 'X-GitHub-Delivery': delivery };
      const answer = await ingress.post(github, body, { ...headers, ...githubSignature(githubSecret, body) });
      const { forwarding, ignored } = (await answer.json()) as { forwarding?: { id: string }[]; ignored?: string };
      return forwarding?.[0]?.id ?? ignored;
    };
    const first = await send('72d3162e-cc78-11e3-81ab-4c9367dc0958');
    assert.equal(await send('82d3162e-cc78-11e3-81ab-4c9367dc0958'), `it was passed on before: ${first}`);
    const other = await send('72d3162e-cc78-11e3-81ab-4c9367dc0958', `${raw} `);
    assert.ok(other?.startsWith('pass-through:once:') && other !== first, other);
  });

  it('starts one rollout for the same delivery 50 times at once', async () => {
    const ingress = await start(findersOf([planOf('fifty', '127.0.0.1:5055/team/app', exactly('1.2.3'))]));
    const [vector] = vectorsOf('distribution').filter(({ name }) => name === 'push-manifest');
    assert.ok(vector !== undefined);
    const answers = await Promise.all(Array.from({ length: 50 }, () => send(ingress, 'distribution', vector)));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [202]);
    const ids = await Promise.all(answers.map(async (answer) => ((await answer.json()) as Answer).rollouts?.[0]?.id));
    assert.deepEqual([...new Set(ids)], ['rollout:fifty:1.2.3:6e338857c61c']);
    assert.equal(await countWorkflows(temporal.client, 'fifty'), 1);
  });

  it('says 503 with Retry-After within 10 s while Temporal hangs, and takes the next delivery when it answers again', async () => {
    const ingress = await start(findersOf([planOf('frozen', smallestImage, exactly('latest'))]));
    temporal.freeze();
    try {
      await expectUnavailable(ingress);
    } finally {
      temporal.thaw();
    }
    await untilReady(ingress);
    assert.equal((await sendGithub(ingress, 'registry_package', smallestGithubEvent)).status, 202);
  });

  it('says 503 with Retry-After within 10 s while Temporal is gone, and takes the next delivery when it is back', async () => {
    const ingress = await start(findersOf([planOf('gone', smallestImage, exactly('latest'))]));
    await temporal.kill();
    try {
      await expectUnavailable(ingress);
      assert.equal((await fetch(`${ingress.operatorsUrl}/readyz`)).status, 503);
    } finally {
      await temporal.start();
    }
    await untilReady(ingress);
    assert.equal((await sendGithub(ingress, 'registry_package', smallestGithubEvent)).status, 202);
    assert.equal((await askedLookUp(temporal.client, 'resolve:gone')).push.source, 'github');
  });

  it('says 503 when one event of several cannot be started, and nothing is lost when they are sent again', async () => {
    const raw = eventsOf('several-good', 'several-bad');
    const isNamespaceReady = async (): Promise<boolean> => false;
    const broken = await start(findersOf([planOfEvent('several-good'), unstartable('several-bad')]), { isNamespaceReady });
    assert.equal((await sendEvents(broken, raw)).status, 503);
    assert.equal(broken.audited().at(-1)?.outcome, 'unavailable');
    const mended = await start(findersOf([planOfEvent('several-good'), planOfEvent('several-bad')]));
    const answer = await sendEvents(mended, raw);
    assert.equal(answer.status, 202);
    assert.deepEqual(
      ((await answer.json()) as Answer).resolving?.map(({ id }) => id),
      ['resolve:several-good', 'resolve:several-bad'],
    );
  });

  it('leaves out what can never be started, by no fault of the namespace, and says so in answer and log', async () => {
    const ingress = await start(findersOf([planOfEvent('possible'), unstartable('impossible')]));
    const some = await sendEvents(ingress, eventsOf('possible', 'impossible'));
    assert.equal(some.status, 202);
    const { resolving, refused } = (await some.json()) as Answer;
    assert.deepEqual(
      [resolving?.map(({ id }) => id), refused?.map(({ image }) => image)],
      [['resolve:possible'], ['127.0.0.1:5055/team/impossible:1']],
    );
    const none = await sendEvents(ingress, eventsOf('impossible'));
    assert.equal(none.status, 200);
    assert.match(
      ((await none.json()) as Answer).ignored ?? '',
      /Temporal takes no workflow for 127\.0\.0\.1:5055\/team\/impossible:1/,
    );
    assert.match(ingress.written(), /can never take its workflow/);
  });

  it('takes 2,000 events of two services within the deadline, as a look-up of each', async () => {
    const ordered = planOf('crowd-ordered', '127.0.0.1:5055/team/ordered', { kind: 'semver', range: '>=0' });
    const ingress = await start(findersOf([planOfEvent('crowd'), ordered]));
    const events = Array.from({ length: 1_000 }, (_, index) => {
      const digest = `sha256:${index.toString(16).padStart(64, '0')}`;
      return [eventOf('crowd', '1', digest), eventOf('ordered', `1.0.${index}`, digest)];
    });
    const answer = await sendEvents(ingress, JSON.stringify({ events: events.flat() }));
    assert.equal(answer.status, 202);
    const { rollouts, resolving } = (await answer.json()) as Answer;
    assert.deepEqual([rollouts, resolving?.map(({ id }) => id)], [[], ['resolve:crowd', 'resolve:crowd-ordered']]);
    assert.deepEqual((await askedLookUp(temporal.client, 'resolve:crowd-ordered')).push.tag, '1.0.999');
  });

  it('starts at most 100 for one request, and the others when the same comes again, as registries do', async () => {
    const names = Array.from({ length: 130 }, (_, index) => `many-${index}`);
    // A hundred starts take a busy machine longer than a sender waits.
    const ingress = await start(findersOf(names.map((name) => planOfEvent(name))), { deadlineMs: 60_000 });
    const raw = eventsOf(...names);
    const first = await sendEvents(ingress, raw);
    assert.equal(first.status, 503);
    assert.match(first.headers.get('Retry-After') ?? '', /^\d+$/);
    assert.match(await first.text(), /130 starts, and at most 100 .*: 30 are left\. Send the same request again/);
    assert.deepEqual([ingress.audited().at(-1)?.outcome, ingress.audited().at(-1)?.status], ['limited', 503]);
    await askedLookUp(temporal.client, 'resolve:many-99');
    await assert.rejects(askedLookUp(temporal.client, 'resolve:many-100'));
    const second = await sendEvents(ingress, raw);
    assert.equal(second.status, 202);
    assert.deepEqual(
      ((await second.json()) as Answer).resolving?.map(({ service }) => service),
      names.slice(100),
    );
  });

  it('writes no secret down, nor anything that is made of one', async () => {
    const ingress = await start(followingEverything('everything'));
    const raw = JSON.stringify(smallestGithubEvent);
    const signature = githubSignature(githubSecret, raw);
    const headers = { 'Content-Type': 'application/json', 'X-GitHub-Event': 'registry_package' };
    for (const sent of [
      signature,
      githubSignature(oldGithubSecret, raw),
      githubSignature('wrong', raw),
      { ...signature, 'X-Hub-Signature': githubSecret },
    ]) {
      await ingress.post(`${github}?secret=${githubSecret}`, raw, { ...headers, ...sent, 'X-GitHub-Delivery': githubSecret });
    }
    await ingress.post(distribution, 'no JSON', { 'Content-Type': 'application/json', ...bearer(distributionToken) });
    await ingress.post(`${distribution}/${distributionToken}`, '{}', {
      'Content-Type': distributionToken,
      ...bearer(distributionToken),
    });
    assert.equal(ingress.audited().length, 6);
    for (const secret of ['canary-', signature['X-Hub-Signature-256']?.slice('sha256='.length) ?? '']) {
      assert.equal(ingress.written().includes(secret), false);
    }
  });
});

interface Answer {
  readonly ignored?: string;
  readonly refused?: readonly { readonly image: string }[];
  readonly rollouts?: readonly { readonly id: string; readonly service: string; readonly image: string }[];
  readonly resolving?: readonly { readonly id: string; readonly service: string; readonly image: string }[];
}

const smallestImage = 'ghcr.io/pitchconnect/fogis-api-client-python';

/** Every repository is a service that follows the pushed tag. */
function followingEverything(prefix: string): PlanFinders {
  return {
    plansFor: (repository, tag) => [planOf(`${prefix}-${repository.split('/').at(-1)}`, repository, exactly(tag))],
    plansOfRepository: () => [],
  };
}

async function send(ingress: Ingress, source: 'github' | 'distribution', { raw, headers }: Vector): Promise<Response> {
  return source === 'github'
    ? await ingress.post(github, raw, { ...headers, ...githubSignature(githubSecret, raw) })
    : await ingress.post(distribution, raw, { ...headers, ...bearer(distributionToken) });
}

function eventOf(name: string, tag: string, digest?: string): object {
  return { action: 'push', target: { repository: `team/${name}`, tag, digest }, request: { host: '127.0.0.1:5055' } };
}

function eventsOf(...names: string[]): string {
  return JSON.stringify({ events: names.map((name) => eventOf(name, '1')) });
}

function planOfEvent(name: string): Plan {
  return planOf(name, `127.0.0.1:5055/team/${name}`, exactly('1'));
}

/** Temporal takes no workflow id of more than 1,000 characters. */
function unstartable(name: string): Plan {
  return { ...planOfEvent(name), service: 'x'.repeat(1_100) };
}

async function sendEvents(ingress: Ingress, raw: string): Promise<Response> {
  return await ingress.post(distribution, raw, { 'Content-Type': 'application/json', ...bearer(distributionToken) });
}

async function sendGithub(ingress: Ingress, event: string, body: object): Promise<Response> {
  const raw = JSON.stringify(body);
  const headers = { 'Content-Type': 'application/json', 'X-GitHub-Event': event };
  return await ingress.post(github, raw, { ...headers, ...githubSignature(githubSecret, raw) });
}

async function expectUnavailable(ingress: Ingress): Promise<void> {
  const begun = Date.now();
  const answer = await sendGithub(ingress, 'registry_package', smallestGithubEvent);
  assert.equal(answer.status, 503);
  assert.match(answer.headers.get('Retry-After') ?? '', /^\d+$/);
  assert.ok(Date.now() - begun < 10_000);
  assert.equal(ingress.audited().at(-1)?.outcome, 'unavailable');
}

/** A connection that failed is tried again with a growing pause. */
async function untilReady(ingress: Ingress): Promise<void> {
  for (;;) if ((await fetch(`${ingress.operatorsUrl}/readyz`)).status === 200) return;
}

async function startedRollout(client: Client, workflowId: string): Promise<RolloutStart> {
  const event = await firstEventOf(client, workflowId);
  return decode(event?.workflowExecutionStartedEventAttributes?.input?.payloads?.[0]?.data) as RolloutStart;
}

/** What the signal that came with the start asked for. */
async function askedLookUp(client: Client, workflowId: string): Promise<ResolveRequest> {
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  const signal = events?.find(
    (event) => event.workflowExecutionSignaledEventAttributes,
  )?.workflowExecutionSignaledEventAttributes;
  assert.equal(signal?.signalName, 'resolve');
  return decode(signal?.input?.payloads?.[0]?.data) as ResolveRequest;
}

async function firstEventOf(client: Client, workflowId: string) {
  const handle = client.workflow.getHandle(workflowId);
  assert.equal((await handle.describe()).type, 'rollout');
  return (await handle.fetchHistory()).events?.[0];
}

function decode(data: Uint8Array | null | undefined): unknown {
  assert.ok(data);
  return JSON.parse(Buffer.from(data).toString());
}

/** Visibility follows a moment later: it is asked until it knows the first. */
async function countWorkflows(client: Client, service: string): Promise<number> {
  for (;;) {
    const { count } = await client.workflow.count(`LandfallService = '${service}'`);
    if (count > 0) return count;
  }
}
