import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { findServices } from '../../src/deploys/compose/services.ts';
import { deploys } from '../../src/deploys/index.ts';
import type { DeployPlan } from '../../src/domain/plan.ts';
import { runCompose } from '../../src/platform/compose/find-compose.ts';
import { removeContainer } from '../../src/platform/docker/remove.ts';
import { containersOf, findContainers, findNamed } from '../../src/probes/containers.ts';
import { createProbes } from '../../src/probes/index.ts';
import { runContainer } from '../support/containers.ts';
import { ensureDocker, removeImagesOf } from '../support/docker.ts';
import { pushImage } from '../support/images.ts';
import { noClusters } from '../support/no-clusters.ts';
import { deployOf } from '../support/plans.ts';
import { type Registry, startRegistry } from '../support/registry.ts';
import { watchPlan } from '../support/watch.ts';

const never = new AbortController().signal;

describe('containers that a watch names', function () {
  this.timeout(60_000);
  const prefix = `landfall-watched-${randomBytes(4).toString('hex')}`;
  const [mine, theirs] = [`${prefix}-mine`, `${prefix}-theirs`];
  const imposter = `${prefix}-imposter`;
  let docker: Docker;
  let registry: Registry;
  let folder: string;
  let deploy: DeployPlan;

  const compose = async (project: string, ...words: string[]) => {
    const end = await runCompose({ arguments: words, directory: join(folder, project), env: process.env });
    assert.equal(end.code, 0, end.output);
  };
  const read = (containers: readonly string[], of?: DeployPlan) => {
    const probes = createProbes({
      docker,
      deploys,
      clusters: noClusters,
      baseDir: '/',
      secrets: (value) => value,
      env: process.env,
    });
    return probes.read(watchPlan([{ kind: 'docker', restarts: 0, containers }]), [], never, of);
  };
  const names = async (written: string, of?: DeployPlan) => {
    const { containers, missing } = await findNamed(docker, [written], of && containersOf(deploys, of), never);
    return [...containers, ...missing].map(({ name }) => name);
  };

  /** Two projects with a service of one name, of an image that Compose has built for the first: such an image says so. */
  before(async () => {
    docker = await ensureDocker();
    registry = await startRegistry();
    folder = await mkdtemp(join(tmpdir(), 'landfall-watched-'));
    const labels = {
      'com.docker.compose.project': mine,
      'com.docker.compose.service': 'db',
      'com.docker.compose.version': '2.28.1',
    };
    await pushImage(registry, 'db', 'latest', { busybox: true, cmd: ['sleep', '600'], labels });
    for (const project of [mine, theirs]) {
      await mkdir(join(folder, project));
      const services = { db: { image: `${registry.host}/db:latest`, stop_grace_period: '0s' } };
      await writeFile(join(folder, project, 'compose.yaml'), JSON.stringify({ services }));
      await compose(project, 'up', '--detach');
    }
    deploy = deployOf('compose', { directory: join(folder, mine) });
  });
  after(async () => {
    await removeContainer(docker, imposter);
    for (const project of [mine, theirs]) await compose(project, 'down', '--timeout', '0');
    await removeImagesOf(docker, registry.host);
    await registry.stop();
    await rm(folder, { recursive: true });
  });

  it("are of the stage's own project, although another one has a service of that name", async () => {
    assert.deepEqual(await names('db', deploy), [`${mine}-db-1`]);
    assert.deepEqual(await names('db', deployOf('compose', { directory: '/elsewhere', project: theirs })), [`${theirs}-db-1`]);
    await docker.getContainer(`${theirs}-db-1`).kill();
    assert.equal((await read(['db'], deploy)).text, `docker ${mine}-db-1 runs`);
  });

  it('are of another project where they are written so, or by the name of the container', async () => {
    for (const plan of [deploy, undefined]) {
      assert.deepEqual(await names(`${theirs}/db`, plan), [`${theirs}-db-1`]);
      assert.deepEqual(await names(`${theirs}-db-1`, plan), [`${theirs}-db-1`]);
      assert.deepEqual(await names(`${theirs}/web`, plan), [`${theirs}/web`]);
    }
  });

  it('are not guessed where there is no deploy and several projects have the service: it says how to write which', async () => {
    const { healthy, text } = await read(['db']);
    assert.equal(healthy, false);
    assert.match(text, /^docker db: several projects have a service of this name: write which is meant, \S+\/db or /);
    assert.equal((await read(['nothing'])).text, 'docker nothing: there is no such container');
  });

  it('are those that Compose made, and none whose image only says so', async () => {
    const labels = {
      ...(await docker.getContainer(`${mine}-db-1`).inspect()).Config.Labels,
      'com.docker.compose.image': `sha256:${'0'.repeat(64)}`,
    };
    await pushImage(registry, 'imposter', 'latest', { busybox: true, cmd: ['sleep', '600'], labels });
    await runContainer(docker, imposter, `${registry.host}/imposter:latest`);
    assert.equal((await docker.getContainer(imposter).inspect()).Config.Labels['com.docker.compose.service'], 'db');

    assert.deepEqual(await names('db', deploy), [`${mine}-db-1`]);
    assert.deepEqual(await names(`${mine}/db`), [`${mine}-db-1`]);
    const deployed = await findContainers(docker, ['db'], containersOf(deploys, deploy), never);
    assert.deepEqual(
      deployed.containers.map(({ name }) => name),
      [`${mine}-db-1`],
    );
    const [service] = await findServices(docker, mine, ['db']);
    assert.deepEqual(
      service?.containers.map(({ container }) => container.Name),
      [`/${mine}-db-1`],
    );
  });
});
