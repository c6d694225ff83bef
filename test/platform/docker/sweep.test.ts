import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { helperNameOf, labelsOf, nameOf, type Ownership, ownershipKey, readLabels } from '../../../src/platform/docker/labels.ts';
import { removeContainer, removeNetwork } from '../../../src/platform/docker/remove.ts';
import { createSweep, type SweepOptions } from '../../../src/platform/docker/sweep.ts';
import { runContainer } from '../../support/containers.ts';
import { ensureDocker, labelled, removeImagesOf } from '../../support/docker.ts';
import { pushImage } from '../../support/images.ts';
import { type Registry, startRegistry } from '../../support/registry.ts';
import { keyOfTests } from '../../support/smoke.ts';

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

  const leave = async (changes: Partial<Ownership> = {}, key = keyOfTests) => {
    owner = { ...owner, ...changes };
    await docker.createNetwork({ Name: nameOf(owner), Labels: labelsOf(owner, nameOf(owner), key) });
  };
  const sweeping = (changes: Partial<SweepOptions> = {}) => {
    const warnings: { readonly name: unknown; readonly message: string }[] = [];
    const warn = (fields: object, message: string) => {
      warnings.push({ name: 'name' in fields ? fields.name : undefined, message });
    };
    const log = { info() {}, warn };
    // What others left on this daemon is no concern of this test.
    const isPending = async (rollout: string) => rollout !== owner.rollout;
    return {
      warnings,
      sweep: createSweep({
        docker,
        workerId: 'b',
        ownershipKey: keyOfTests,
        installation: 'here',
        isPending,
        now: () => now,
        log,
        ...changes,
      }),
    };
  };
  const isLeft = async () => (await labelled(docker, owner.rollout)).length === 1;

  it('removes what is no longer pending, whichever worker of this Landfall made it', async () => {
    await leave();
    assert.deepEqual(await sweeping().sweep.sweepOnce(), [nameOf(owner)]);
    assert.equal(await isLeft(), false);
  });

  it('removes also what stands beside the container of a check, where the proof is for that name', async () => {
    const name = helperNameOf(owner);
    for (const [proven, left] of [
      [nameOf(owner), true],
      [name, false],
    ] as const) {
      await docker.createNetwork({ Name: name, Labels: labelsOf(owner, proven, keyOfTests) });
      try {
        await sweeping().sweep.sweepOnce();
        assert.equal(await isLeft(), left);
      } finally {
        await removeNetwork(docker, name);
      }
    }
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
    const told = warnings.filter(({ name }) => name === nameOf(owner));
    assert.deepEqual(told, [{ name: nameOf(owner), message: 'could not sweep; it is tried again in a minute' }]);
  });

  it('sweeps when it is started, and is done when it has stopped', async () => {
    await leave();
    const { sweep } = sweeping();
    sweep.start();
    await sweep.stop();
    assert.equal(await isLeft(), false);
  });

  it('reads back the labels it writes, and takes others for nobody of ours', () => {
    const name = nameOf(owner);
    const read = (labels: Record<string, string>, of = name, key = keyOfTests) => readLabels(of, labels, key);
    const labels = labelsOf(owner, name, keyOfTests);
    assert.deepEqual(read(labels), owner);
    const { 'landfall.deadline': _, ...without } = labels;
    assert.equal(read(without), undefined);
    assert.equal(read({ ...labels, 'landfall.deadline': 'soon' }), undefined);
    assert.equal(read({ ...labels, 'landfall.deadline': now.toISOString() }), undefined, 'a deadline that was not proven');
    assert.equal(read({ 'com.docker.compose.project': 'x' }), undefined);
    assert.equal(read(labels, 'production'), undefined, 'another name');
    assert.equal(read(labels, name, 'a0'.repeat(32)), undefined, 'another key');
    const { 'landfall.proof': __, ...unproven } = labels;
    assert.equal(read(unproven), undefined, 'no proof');
  });

  it('reads the labels of what a compose project of ours has by the name of the project', () => {
    const project = `landfall-it-${'5a'.repeat(8)}`;
    const labels = labelsOf(owner, project, keyOfTests);
    for (const name of [`${project}-web-1`, `${project}_default`]) assert.deepEqual(readLabels(name, labels, keyOfTests), owner);
    for (const name of [project, `landfall-it-${'5b'.repeat(8)}-web-1`, 'web', nameOf(owner)]) {
      assert.equal(readLabels(name, labels, keyOfTests), undefined, name);
    }
  });

  describe('of what it did not make', () => {
    let registry: Registry;
    const container = `landfall-not-ours-${randomUUID()}`;

    before(async () => {
      registry = await startRegistry();
    });
    after(async () => {
      await removeContainer(docker, container);
      await removeImagesOf(docker, registry.host);
      await registry.stop();
    });

    it('removes no container whose image says that it is one of ours, and says so once', async () => {
      await leave({}, 'a0'.repeat(32));
      // As an image can have them: all labels, with a proof that is none.
      const labels = labelsOf(owner, nameOf(owner), 'a0'.repeat(32));
      await pushImage(registry, 'not-ours', 'latest', { busybox: true, cmd: ['sleep', '600'], labels });
      await runContainer(docker, container, `${registry.host}/not-ours:latest`);
      const { sweep, warnings } = sweeping();
      const removed = [...(await sweep.sweepOnce()), ...(await sweep.sweepOnce())];
      assert.deepEqual(
        removed.filter((name) => name === container || name === nameOf(owner)),
        [],
      );
      assert.equal((await docker.getContainer(container).inspect()).State.Running, true);
      const left = [`container ${container}`, `network ${nameOf(owner)}`];
      assert.deepEqual(await labelled(docker, owner.rollout), left, 'a network whose key was lost is left alone too');
      const told = warnings.filter(({ name }) => name === container || name === nameOf(owner));
      assert.deepEqual(
        told.map(({ message }) => message.split(':')[0]),
        Array(2).fill('has the labels of a check, but they do not prove that this Landfall made it, so it is left alone'),
      );
    });
  });

  describe('knows what is ours by a key', () => {
    let folder: string;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'landfall-key-'));
    });
    afterEach(() => rm(folder, { recursive: true }));

    it('which is made once for all processes that have the data folder, and is readable for nobody else', async () => {
      const keys = await Promise.all(Array.from({ length: 8 }, () => ownershipKey(join(folder, 'data'))));
      assert.equal(new Set(keys).size, 1);
      assert.equal(await ownershipKey(join(folder, 'data')), keys[0]);
      assert.deepEqual(await readdir(join(folder, 'data')), ['docker-ownership.key']);
      assert.equal((await stat(join(folder, 'data', 'docker-ownership.key'))).mode & 0o777, 0o600);
    });

    it('which is another one where it was lost, and is not guessed where it is damaged', async () => {
      const key = await ownershipKey(folder);
      await rm(join(folder, 'docker-ownership.key'));
      assert.notEqual(await ownershipKey(folder), key);
      await writeFile(join(folder, 'docker-ownership.key'), '');
      await assert.rejects(ownershipKey(folder), /expected 64 hexadecimal digits in .*docker-ownership\.key/);
    });
  });
});
