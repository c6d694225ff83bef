import assert from 'node:assert/strict';
import type { IntegrationPlan } from '../../../src/checks/integration/plan.ts';
import { type ComposeProject, NotIsolated } from '../../../src/platform/compose/file.ts';
import { throwAwayProject } from '../../../src/platform/compose/project.ts';

const integration: IntegrationPlan = {
  compose: 'it.yml',
  candidate: 'web',
  services: ['db'],
  test: { kind: 'image', image: 'tests:1', command: ['run', '$HOME'] },
  env: {},
  timeoutMs: 1_000,
};
const image = 'registry.test/web@sha256:0123';
const labels = { 'landfall.rollout': 'rollout:web:$latest' };
const isolate = (file: ComposeProject, changes: Partial<IntegrationPlan> = {}) =>
  throwAwayProject(file, {
    name: 'landfall-it-1',
    image,
    labels,
    integration: { ...integration, ...changes },
    variables: { KEY: 'a$b' },
  });

describe('the throw-away project of an integration check', () => {
  it('has the candidate by its digest, built or pulled by nobody else', () => {
    const { project } = isolate({ services: { web: { image: 'registry.test/web:latest', build: { context: '.' } } } });
    const { web } = project.services;
    assert.deepEqual([web?.image, web?.build, web?.pull_policy], [image, undefined, 'never']);
  });

  it('has no published port, no fixed name, no fixed address, and nothing that starts again by itself', () => {
    const { project } = isolate({
      services: {
        web: {
          image: 'web',
          ports: [{ target: 80, published: '80' }],
          container_name: 'web',
          restart: 'always',
          external_links: ['db'],
          labels: { keep: 'me' },
          environment: { KEPT: 'yes' },
          networks: { default: { aliases: ['www'], ipv4_address: '10.0.0.2', mac_address: '02:42:ac:11:00:02' } },
        },
      },
    });
    assert.deepEqual(project.services.web, {
      image,
      labels: { keep: 'me', 'landfall.rollout': 'rollout:web:$$latest' },
      environment: { KEPT: 'yes' },
      networks: { default: { aliases: ['www'] } },
      restart: 'no',
      pull_policy: 'never',
    });
  });

  it('has networks and volumes of its own, also for external ones and those with options', () => {
    const { project } = isolate({
      services: {},
      networks: {
        shared: { external: true, name: 'shared' },
        inner: { internal: true, ipam: { config: [{ subnet: '10.0.0.0/24' }] } },
      },
      volumes: {
        data: { external: true, name: 'production-data' },
        host: { driver_opts: { type: 'none', o: 'bind', device: '/srv' } },
      },
    });
    const own = (key: string) => ({ name: `landfall-it-1_${key}`, labels: { 'landfall.rollout': 'rollout:web:$$latest' } });
    assert.deepEqual(project.networks, {
      shared: own('shared'),
      inner: { ...own('inner'), internal: true },
      default: own('default'),
    });
    assert.deepEqual(project.volumes, { data: own('data'), host: own('host') });
  });

  it('has the test image in all networks, with its variables, under a name that the file does not have', () => {
    const { project, test } = isolate({ services: { 'landfall-test': { image: 'theirs' } }, networks: { other: {} } });
    assert.equal(test, 'landfall-test-1');
    const service = project.services['landfall-test-1'];
    assert.deepEqual(service?.networks, { other: null, default: null });
    assert.deepEqual([service?.command, service?.environment], [['run', '$$HOME'], { KEY: 'a$$b' }]);
    assert.equal(project.services['landfall-test']?.image, 'theirs');
  });

  it('has no test image where a service runs the test', () => {
    const { project, test } = isolate({ services: { web: {} } }, { test: { kind: 'exec', service: 'web', command: ['true'] } });
    assert.deepEqual([test, Object.keys(project.services)], [undefined, ['web']]);
  });

  it('leaves what Compose builds, or pulls for another platform, to Compose', () => {
    const { project } = isolate({ services: { db: { build: { context: '.' } }, old: { image: 'old', platform: 'linux/386' } } });
    assert.deepEqual([project.services.db?.pull_policy, project.services.old?.pull_policy], [undefined, undefined]);
  });

  it('is refused where a service would join what else runs on the host', () => {
    for (const network_mode of ['host', 'bridge', 'container:db']) {
      assert.throws(() => isolate({ services: { web: { network_mode } } }), NotIsolated);
    }
    assert.doesNotThrow(() => isolate({ services: { web: { network_mode: 'service:db' }, db: { network_mode: 'none' } } }));
  });
});
