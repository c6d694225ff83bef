import assert from 'node:assert/strict';
import type { IntegrationPlan } from '../../../src/checks/integration/plan.ts';
import { type ComposeProject, type ComposeService, NotIsolated } from '../../../src/platform/compose/file.ts';
import { throwAwayProject, withCalmHealthcheck } from '../../../src/platform/compose/project.ts';

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
    const {
      image: runs,
      labels: own,
      environment,
      networks,
      restart,
      pull_policy,
      ports,
      container_name,
      external_links,
    } = project.services.web ?? {};
    assert.deepEqual(
      { runs, own, environment, networks, restart, pull_policy, ports, container_name, external_links },
      {
        runs: image,
        own: { keep: 'me', 'landfall.rollout': 'rollout:web:$$latest' },
        environment: { KEPT: 'yes' },
        networks: { default: { aliases: ['www'] } },
        restart: 'no',
        pull_policy: 'never',
        ports: undefined,
        container_name: undefined,
        external_links: undefined,
      },
    );
  });

  const limitsOf = (web: ComposeService, changes: Partial<IntegrationPlan> = {}) => {
    const { project } = isolate({ services: { web, db: {} } }, changes);
    const { web: candidate = {}, db = {} } = project.services;
    return { candidate, db };
  };

  it('allows the candidate what a smoke test allows, and the services beside it what they ask for', () => {
    const { candidate, db } = limitsOf({ oom_kill_disable: true, memswap_limit: '-1', logging: { driver: 'syslog' } });
    const { mem_limit, memswap_limit, cpus, pids_limit, cap_drop, security_opt, ulimits, logging, oom_kill_disable } = candidate;
    assert.deepEqual(
      { mem_limit, memswap_limit, cpus, pids_limit, cap_drop, security_opt, ulimits, logging, oom_kill_disable },
      {
        mem_limit: 512 * 1024 ** 2,
        memswap_limit: 512 * 1024 ** 2,
        cpus: 1,
        pids_limit: 256,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        ulimits: { nofile: 16_384, core: 0, fsize: 10 * 1024 ** 3 },
        logging: { driver: 'json-file', options: { 'max-size': '1m', 'max-file': '2' } },
        oom_kill_disable: undefined,
      },
    );
    assert.deepEqual([db.mem_limit, db.cap_drop, db.security_opt], [undefined, undefined, undefined]);
  });

  it('allows the candidate what the file says that it needs, but nothing without a bound', () => {
    const { candidate } = limitsOf(
      { mem_limit: '2147483648', cpus: 2, pids_limit: 1_000, cap_add: ['CHOWN'] },
      { runtime: 'runsc' },
    );
    const { mem_limit, memswap_limit, cpus, pids_limit, cap_add, runtime } = candidate;
    assert.deepEqual([mem_limit, memswap_limit, cpus, pids_limit], ['2147483648', 2_147_483_648, 2, 1_000]);
    assert.deepEqual([cap_add, runtime], [['CHOWN'], 'runsc']);
    const limits = { memory: '1073741824', cpus: 3, pids: 7 };
    const { candidate: deployed } = limitsOf({ deploy: { resources: { limits } } });
    assert.deepEqual(
      [deployed.mem_limit, deployed.memswap_limit, deployed.cpus, deployed.pids_limit, deployed.deploy],
      [undefined, 1_073_741_824, undefined, undefined, { resources: { limits } }],
    );
    const { candidate: endless } = limitsOf({ mem_limit: '0', pids_limit: -1 });
    assert.deepEqual([endless.mem_limit, endless.pids_limit], [512 * 1024 ** 2, 256]);
  });

  it("does not run the candidate's own HEALTHCHECK again and again, unless the file sets its pace", () => {
    const paced = (web: ComposeService, image: { Interval?: number; StartInterval?: number } | undefined) =>
      withCalmHealthcheck(isolate({ services: { web } }).project, 'web', image).services.web?.healthcheck;
    assert.deepEqual(paced({}, { Interval: 1_000_000 }), { interval: '1000000000ns' });
    assert.deepEqual(paced({}, { Interval: 30_000_000_000, StartInterval: 1_000_000 }), {
      interval: '30000000000ns',
      start_interval: '1000000000ns',
    });
    assert.deepEqual(paced({ healthcheck: { retries: 2 } }, { Interval: 1 }), { retries: 2, interval: '1000000000ns' });
    assert.deepEqual(paced({ healthcheck: { interval: '1s' } }, { Interval: 1 }), { interval: '1s' });
    assert.equal(paced({}, { Interval: 30_000_000_000 }), undefined);
    assert.equal(paced({}, undefined), undefined);
  });

  it('has no way out of any network unless the plan says full', () => {
    const file = { services: { web: {}, db: { network_mode: 'none' } }, networks: { inner: { internal: true }, outer: {} } };
    const isInternal = (changes: Partial<IntegrationPlan>) => {
      const { project } = isolate(file, changes);
      const networks = Object.values(project.networks ?? {}).map((each) => (each as { internal?: boolean }).internal === true);
      return { networks, dns: [project.services.web?.dns, project.services.db?.dns] };
    };
    assert.deepEqual(isInternal({}), { networks: [true, true, true], dns: [['127.0.0.1'], undefined] });
    assert.deepEqual(isInternal({ network: 'full' }), { networks: [true, false, false], dns: [undefined, undefined] });
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
    const closed = { internal: true, driver_opts: { 'com.docker.network.bridge.inhibit_ipv4': 'true' } };
    assert.deepEqual(project.networks, {
      shared: { ...own('shared'), ...closed },
      inner: { ...own('inner'), ...closed },
      default: { ...own('default'), ...closed },
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
