import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type Docker from 'dockerode';
import { labelsOf, nameOf, type Ownership, readLabels } from '../../../src/adapters/docker/labels.ts';
import { removeNetwork } from '../../../src/adapters/docker/remove.ts';
import { createSweep, type SweepOptions } from '../../../src/adapters/docker/sweep.ts';
import { ensureDocker, labelled } from '../../support/docker.ts';

describe('the sweep', () => {
  const now = new Date();
  const later = new Date(now.getTime() + 60_000);
  let docker: Docker;
  let owner: Ownership;

  before(async () => {
    docker = await ensureDocker();
  });
  // Networks only: a sweep treats containers alike, and what a killed worker leaves is swept in the smoke tests.
  beforeEach(() => {
    owner = {
      rollout: `rollout:sweep:${randomUUID()}`,
      run: randomUUID(),
      activity: '7',
      attempt: 1,
      worker: 'a',
      installation: 'here',
      deadline: later,
    };
  });
  afterEach(() => removeNetwork(docker, nameOf(owner)));

  const leave = async (changes: Partial<Ownership> = {}) => {
    owner = { ...owner, ...changes };
    await docker.createNetwork({ Name: nameOf(owner), Labels: labelsOf(owner) });
  };
  const sweeping = (changes: Partial<SweepOptions> = {}) => {
    const warnings: string[] = [];
    const log = { info() {}, warn: (_: object, message: string) => void warnings.push(message) };
    // What others left on this daemon is no concern of this test.
    const isPending = async (rollout: string) => rollout !== owner.rollout;
    return {
      warnings,
      sweep: createSweep({ docker, workerId: 'b', installation: 'here', isPending, now: () => now, log, ...changes }),
    };
  };
  const isLeft = async () => (await labelled(docker, owner.rollout)).length === 1;

  it('removes what is no longer pending, whichever worker of this Landfall made it', async () => {
    await leave();
    assert.deepEqual(await sweeping().sweep.sweepOnce(), [nameOf(owner)]);
    assert.equal(await isLeft(), false);
  });

  it('asks by rollout, run and activity, and keeps what is pending', async () => {
    await leave();
    const asked: string[][] = [];
    const isPending = async (...ids: string[]) => {
      asked.push(ids);
      return true;
    };
    await sweeping({ isPending }).sweep.sweepOnce();
    assert.ok(asked.some((ids) => ids.join() === [owner.rollout, owner.run, '7'].join()));
    assert.equal(await isLeft(), true);
  });

  it('removes what is past its deadline without asking', async () => {
    await leave({ installation: 'elsewhere', deadline: new Date(now.getTime() - 1) });
    await sweeping({ isPending: async () => true }).sweep.sweepOnce();
    assert.equal(await isLeft(), false);
  });

  it('leaves another Landfall alone, whose Temporal it cannot ask', async () => {
    await leave({ installation: 'elsewhere' });
    await sweeping().sweep.sweepOnce();
    assert.equal(await isLeft(), true);
  });

  it('removes nothing while Temporal does not answer, and says so', async () => {
    await leave();
    const isPending = async (rollout: string) => {
      if (rollout === owner.rollout) throw new Error('no Temporal');
      return true;
    };
    const { sweep, warnings } = sweeping({ isPending });
    await sweep.sweepOnce();
    assert.equal(await isLeft(), true);
    assert.deepEqual(warnings, ['could not sweep; it is tried again in a minute']);
  });

  it('sweeps when it is started, and is done when it has stopped', async () => {
    await leave();
    const { sweep } = sweeping();
    sweep.start();
    await sweep.stop();
    assert.equal(await isLeft(), false);
  });

  it('reads back the labels it writes, and takes others for nobody of ours', () => {
    assert.deepEqual(readLabels(labelsOf(owner)), owner);
    const { 'landfall.deadline': _, ...without } = labelsOf(owner);
    assert.equal(readLabels(without), undefined);
    assert.equal(readLabels({ ...labelsOf(owner), 'landfall.deadline': 'soon' }), undefined);
    assert.equal(readLabels({ 'com.docker.compose.project': 'x' }), undefined);
  });
});
