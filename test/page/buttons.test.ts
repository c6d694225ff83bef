import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { progressSignal } from '../../src/contracts/messages.ts';
import { hashOfToken } from '../../src/domain/decision-proof.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { type OperatorListener, startOperators } from '../api/support/operators.ts';
import { delivered, digestOf, stageOf } from '../support/plans.ts';
import { eventually } from '../support/wait.ts';
import { workflowTests } from '../support/workflow-tests.ts';

const services = 'services: [{ name: web, image: registry.example.test/team/web }]\n';
const approval = { from: [{ name: 'ann' }, { name: 'bob' }], required: 1, withinMs: 60_000, selfApproval: true, verified: false };

describe('the buttons of the page', function () {
  this.timeout(60_000);
  const { temporal, world, activities, work, push, result, when, until, say, laneState, ...tests } = workflowTests('buttons');
  let folder: string;
  let operators: OperatorListener;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-buttons-'));
    operators = await startOperators(temporal.client, folder, services);
  });
  after(async () => {
    await operators?.stop();
    await rm(folder, { recursive: true });
  });

  const headers = { 'Landfall-Operator': 'bob' };
  /** The form of a page that a button is in, as it was when it was read. */
  async function formOf(path: string, verb: string, about: string, head?: string): Promise<Form> {
    // What is listed lags behind a little.
    return await eventually(`${verb} for ${about} on ${path}`, async () => {
      const html = await (await fetch(operators.url + path, { headers })).text();
      const forms = [...html.matchAll(/<form [^>]*action="([^"]*)"[^>]*>.*?<\/form>/gs)].map(([form, action = '']) => {
        const hidden = [...form.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)"/g)];
        return { action, fields: Object.fromEntries(hidden.map(([, name, value]) => [name, value])) };
      });
      return forms.find(
        ({ action, fields }) =>
          fields.verb === verb && decodeURIComponent(action).includes(about) && (head === undefined || fields.head === head),
      );
    });
  }
  async function pressed(
    { action, fields }: Form,
    more: object = {},
  ): Promise<{ readonly status: number; readonly text: string }> {
    const body = new URLSearchParams({ ...fields, ...more });
    const origin = { ...headers, 'Sec-Fetch-Site': 'same-origin' };
    const response = await fetch(operators.url + action, { method: 'POST', body, headers: origin, redirect: 'manual' });
    return { status: response.status, text: await response.text() };
  }

  it('approve what the page has shown, and nothing that somebody has pushed since', async () => {
    const later = '2'.repeat(40);
    let proposals = 0;
    const proposes = activities().propose;
    await work({
      async propose(input) {
        const outcome = await proposes(input);
        proposals += 1;
        if (outcome.kind !== 'proposed' || proposals === 1) return outcome;
        return { ...outcome, proposal: { ...outcome.proposal, head: later, foreign: true } };
      },
    });
    const plan = tests.aPlan({ stages: [stageOf('production', { ...delivered, merge: 'manual', approval })] });
    const handle = await push(plan, 'shown');
    const waitsFor = (step: string): Promise<RolloutState> =>
      when(handle, `waits for ${step}`, ({ steps }) => steps.some((each) => each.step === step && each.status === 'waiting'));
    await waitsFor('approve');
    const seen = {
      now: await formOf('/', 'approve', plan.service),
      rollout: await formOf(pathOf(handle), 'approve', plan.service),
    };
    await say(handle, 'approve', { by: 'ann' });
    await waitsFor('merge');
    world.failing.set(`landfall/${plan.service}-production`, ['build']);
    await handle.signal(progressSignal, { what: 'check_run completed' });
    await until(handle, 'blocked');
    world.failing.clear();
    await say(handle, 'retry', { by: 'ann', step: 'merge' });
    await waitsFor('approve');
    for (const form of Object.values(seen)) {
      const { status, text } = await pressed(form);
      assert.equal(status, 409, text);
      assert.match(text, /has its proposal at 222222222222, and the approval is for/);
    }
    const body = { verb: 'approve', head: seen.now.fields.head };
    assert.equal((await operators.ask(`/rollouts/${handle.workflowId}/decisions`, { body })).status, 409);
    const again = await pressed(await formOf(pathOf(handle), 'approve', plan.service, later));
    assert.equal(again.status, 303, again.text);
    const { approvals } = await waitsFor('merge');
    assert.deepEqual(
      approvals?.production?.map(({ by, head }) => [by, head]),
      [['bob', later]],
    );
  });

  it('show what came of them at once, though many look and the page was read a moment before', async () => {
    await work();
    const page = async () => await (await fetch(`${operators.url}/`, { headers })).text();
    const form = await formOf('/', 'hold', '/hold');
    for (const [fields, isHeld] of [
      [{ verb: 'hold', reason: 'an audit' }, true],
      [{ verb: 'release', reason: '' }, false],
    ] as const) {
      assert.equal((await page()).includes('Everything is held'), !isHeld);
      assert.equal((await pressed({ ...form, fields: { ...form.fields, ...fields } })).status, 303);
      assert.equal((await page()).includes('Everything is held'), isHeld, fields.verb);
    }
  });

  it('do nothing for who lacks the role, or on the page of another site, and it is recorded who wanted what', async () => {
    const token = `landfall_${'v'.repeat(40)}`;
    const people = [{ name: 'vic', token: 'env:VIC', roles: ['view', 'operate'] }];
    const env = { VIC: await hashOfToken(token) };
    const guarded = await startOperators(temporal.client, folder, `operators: ${JSON.stringify(people)}\n${services}`, { env });
    const press = async (path: string, fields: Record<string, string>, more: Record<string, string>) => {
      const response = await fetch(guarded.url + path, { method: 'POST', body: new URLSearchParams(fields), headers: more });
      return response.status;
    };
    const vic = { Authorization: `Bearer ${token}` };
    const own = { 'Sec-Fetch-Site': 'same-origin' };
    const foreign = { 'Sec-Fetch-Site': 'cross-site' };
    const rollout = 'rollout:web:latest:0123456789ab';
    const approve = { verb: 'approve', stage: 'production', step: 'approve' };
    assert.equal(await press(`/rollouts/${rollout}/decide`, approve, { ...vic, ...own }), 403);
    assert.equal(await press('/services/web/decide', { verb: 'hold' }, { ...vic, ...foreign }), 403);
    assert.equal(await press('/hold', { verb: 'hold' }, foreign), 403);
    await guarded.stop();
    const recorded = guarded.audited.map((entry) => {
      assert.ok(entry.event_type === 'decision_refused');
      const { outcome, status, by, action, services: about, workflow, stage } = entry;
      return [outcome, status, by, action, about, workflow, stage];
    });
    assert.deepEqual(recorded, [
      ['refused', 403, 'vic', 'approve', [], rollout, 'production'],
      ['refused', 403, 'vic', '/services/web/decide', ['web'], undefined, undefined],
    ]);
  });

  it('roll back what the page has shown, and nothing that runs there since', async () => {
    await work();
    const plan = tests.aPlan({ stages: [stageOf('production', delivered)] });
    for (const word of ['one', 'two']) await result(await push(plan, word));
    const form = await formOf(`/services/${plan.service}`, 'rollback', plan.service);
    await result(await push(plan, 'three'));
    const reason = 'too slow';
    const late = await pressed(form, { reason });
    assert.equal(late.status, 409, late.text);
    assert.match(late.text, new RegExp(`production runs something else by now, ${digestOf('three')}`));
    const body = { verb: 'rollback', stage: 'production', digest: digestOf('two'), reason };
    assert.equal((await operators.ask(`/services/${plan.service}/commands`, { body })).status, 409);
    assert.equal((await laneState(plan)).stages.production?.running?.digest, digestOf('three'));
    assert.equal((await pressed(await formOf(`/services/${plan.service}`, 'rollback', plan.service), { reason })).status, 303);
  });
});

interface Form {
  readonly action: string;
  readonly fields: Readonly<Record<string, string>>;
}

function pathOf({ workflowId }: WorkflowHandle): string {
  return `/rollouts/${encodeURIComponent(workflowId)}`;
}
