import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describeFollowed, planOf, plansFor, plansOfRepository } from '../../src/config/plans.ts';
import type { Repository, Tag } from '../../src/domain/image-reference.ts';
import { filesOf, type Plan } from '../../src/domain/plan.ts';
import { namePattern } from '../../src/settings/name-pattern.ts';
import { settingsIn } from '../support/plans.ts';
import { load } from './support.ts';

const env = { TOKEN: 't' };
const github = 'forge: { github: { token: env:TOKEN } }\n';
const latest = 'latest' as Tag;

function repository(text: string): Repository {
  return text as Repository;
}

function names(text: string, image: string, tag: string = latest): string[] {
  return plansFor(load(text, env), repository(image), tag as Tag).map(({ service }) => service);
}

const minute = 60_000;

describe('the plan of a service', () => {
  it('has sensible values where nothing is said', () => {
    assert.deepEqual(planOf(load('services: [{ image: team/app }]'), 'app'), {
      service: 'app',
      repository: 'docker.io/team/app',
      tags: { kind: 'exact', tags: ['latest'] },
      platforms: [],
      checks: [
        {
          kind: 'scan',
          title: 'Scanned',
          after: [],
          timeoutMs: 20 * minute,
          needsDocker: true,
          settings: { failOn: 'critical', ignoreUnfixed: false, ignore: [] },
        },
        {
          kind: 'smoke',
          title: 'Smoke-tested',
          after: [],
          timeoutMs: 16 * minute,
          needsDocker: true,
          settings: {
            timeoutMs: 60_000,
            stayUpMs: 10_000,
            memoryBytes: 512 * 1024 * 1024,
            cpus: 1,
            pids: 256,
            capabilities: [],
            env: {},
          },
        },
      ],
      stages: [{ name: 'production', rollback: 'off' }],
      decideWithinMs: 86_400_000,
    });
  });

  it('takes every key of the service, and without stages has one named production', () => {
    const text = `${github}
services:
  - name: matches
    image: ghcr.io/team/app
    tags: { pattern: "^main-(\\\\d+)$", order: numerical }
    platforms: [linux/amd64, linux/arm/v7]
    scan: { failOn: high, ignoreUnfixed: true, ignore: [{ id: CVE-1, reason: not reached, until: 2027-01-31 }] }
    smoke:
      timeout: 2m
      stayUp: 1500ms
      memory: 1G
      cpus: 0.5
      pids: 20
      capabilities: [NET_RAW, CAP_CHOWN]
      env: { A: plain, B: env:TOKEN }
      envFile: .env.test
      command: [serve, "--now"]
      http: { port: 5003, path: /health }
    change:
      repository: team/deployment
      base: release
      file: "{service}/{stage}.yml"
      services: [one, two]
      pin: tag
      value: bare
      title: T
      body: B
      labels: [l]
      reviewers: [ann]
      assignees: [bob]
    dispatch: { repository: team/deployment, event: image_published }
    merge: off
    decideWithin: 1h
`;
    assert.deepEqual(planOf(load(text, env), 'matches'), {
      service: 'matches',
      repository: 'ghcr.io/team/app',
      tags: { kind: 'pattern', pattern: '^main-(\\d+)$', order: 'numerical' },
      platforms: ['linux/amd64', 'linux/arm/v7'],
      checks: [
        {
          kind: 'scan',
          title: 'Scanned',
          after: [],
          timeoutMs: 20 * minute,
          needsDocker: true,
          settings: {
            failOn: 'high',
            ignoreUnfixed: true,
            ignore: [{ id: 'CVE-1', reason: 'not reached', until: '2027-01-31' }],
          },
        },
        {
          kind: 'smoke',
          title: 'Smoke-tested',
          after: [],
          timeoutMs: 17 * minute,
          needsDocker: true,
          settings: {
            timeoutMs: 120_000,
            stayUpMs: 1_500,
            memoryBytes: 1024 ** 3,
            cpus: 0.5,
            pids: 20,
            capabilities: ['NET_RAW', 'CHOWN'],
            env: { A: 'plain', B: 'env:TOKEN' },
            envFile: '.env.test',
            command: ['serve', '--now'],
            probe: { kind: 'http', port: 5003, path: '/health' },
          },
        },
      ],
      stages: [
        {
          name: 'production',
          rollback: 'off',
          change: {
            merge: 'off',
            repository: 'team/deployment',
            base: 'release',
            file: 'matches/production.yml',
            target: { kind: 'compose', services: ['one', 'two'] },
            pin: 'tag',
            value: 'bare',
            title: 'T',
            body: 'B',
            labels: ['l'],
            reviewers: ['ann'],
            assignees: ['bob'],
          },
          dispatch: { repository: 'team/deployment', event: 'image_published' },
        },
      ],
      decideWithinMs: 3_600_000,
    });
  });

  for (const [keys, target] of [
    ['', { kind: 'compose', services: ['app'], orByImage: true }],
    ['services: [web]', { kind: 'compose', services: ['web'] }],
    ['path: spec.image', { kind: 'yaml', path: 'spec.image' }],
    ['path: [a.image, "{service}.image"]', { kind: 'yaml', path: ['a.image', 'app.image'] }],
    ['images: true', { kind: 'images' }],
    ['marker: "{service}"', { kind: 'marker', name: 'app' }],
    ['key: "APP_{stage}"', { kind: 'env', key: 'APP_production' }],
  ] as const) {
    it(`writes to ${JSON.stringify(target)} for change: { ${keys} }`, () => {
      const text = `services: [{ image: a/app, change: { repository: ./d, file: f${keys === '' ? '' : `, ${keys}`} } }]`;
      assert.deepEqual(planOf(load(text), 'app')?.stages[0]?.change?.target, target);
    });
  }

  it('has several files, with what change says of all of them, in place of a file of the defaults', () => {
    const text = `
defaults: { change: { repository: ./d, file: compose.yml, key: APP, pin: tag } }
services:
  - image: a/app
    change:
      files:
        - { file: "{service}/values.yaml", images: true, pin: tag@digest }
        - { file: "{stage}.env", key: "{service}" }
        - { file: docker-compose.yml }
  - { image: a/db, change: { files: [{ file: a }] }, stages: [{ name: test, change: { file: b } }] }`;
    const [app, db] = ['app', 'db'].map((name) => planOf(load(text), name)?.stages[0]?.change);
    assert.ok(app && db);
    assert.deepEqual(
      filesOf(app).map(({ file, target, pin, value }) => ({ file, target, pin, value })),
      [
        { file: 'app/values.yaml', target: { kind: 'images' }, pin: 'tag@digest', value: 'reference' },
        { file: 'production.env', target: { kind: 'env', key: 'app' }, pin: 'tag', value: 'reference' },
        {
          file: 'docker-compose.yml',
          target: { kind: 'compose', services: ['app'], orByImage: true },
          pin: 'tag',
          value: 'reference',
        },
      ],
    );
    assert.deepEqual([db.file, db.also], ['b', undefined]);
  });

  it('deploys the compose services of whichever file has some', () => {
    const files = '[{ file: a, images: true }, { file: b, services: [one] }, { file: c, services: [one, two] }]';
    const text = `services: [{ image: a/app, change: { repository: ./d, files: ${files} }, merge: auto, deploy: { compose: { directory: /srv } } }]`;
    const settings = planOf(load(text), 'app')?.stages[0]?.deploy?.settings;
    assert.deepEqual(settings && Reflect.get(settings, 'services'), ['one', 'two']);
  });

  it('is JSON-safe: what comes out of a history is what went in', () => {
    const plan = planOf(load('services: [{ image: a/app, smoke: { tcp: { port: 80 } } }]'), 'app');
    assert.deepEqual(JSON.parse(JSON.stringify(plan)), plan);
  });

  it('says of the box of an image only what is not as usual, because plans of running rollouts may be older', () => {
    const usual = planOf(
      load('services: [{ image: a/app, smoke: { network: internal }, integration: { compose: it.yml, test: { image: t } } }]'),
      'app',
    );
    for (const key of ['network', 'diskBytes', 'readOnly', 'runtime'])
      for (const check of ['smoke', 'integration']) assert.equal(Object.hasOwn(settingsIn(usual, check) ?? {}, key), false, key);
    assert.equal(usual?.mostImageBytes, undefined);
    const settings = 'verify: { maxSize: 2g }, smoke: { network: full, readOnly: true, runtime: runsc }';
    const other = planOf(load(`services: [{ image: a/app, ${settings} }]`), 'app');
    const { network, diskBytes, readOnly, runtime } = settingsIn(other, 'smoke') ?? {};
    assert.deepEqual(
      { network, diskBytes, readOnly, runtime },
      { network: 'full', diskBytes: 64 * 1024 ** 2, readOnly: true, runtime: 'runsc' },
    );
    assert.equal(other?.mostImageBytes, 2 * 1024 ** 3);
  });

  it('has its smoke test done by any worker where that is a pod', () => {
    const kubernetes = { namespace: 'trials', user: 1000, imagePullSecrets: ['pull'] };
    const text = `services: [{ image: a/app, smoke: { kubernetes: {} } }, { image: a/other, smoke: { kubernetes: ${JSON.stringify(kubernetes)} } }]`;
    const [usual, other] = ['app', 'other'].map((name) => planOf(load(text), name));
    assert.deepEqual(settingsIn(usual, 'smoke')?.kubernetes, { namespace: 'landfall-smoke' });
    assert.deepEqual(settingsIn(other, 'smoke')?.kubernetes, kubernetes);
    assert.equal(usual?.checks.find(({ kind }) => kind === 'smoke')?.needsDocker, false);
  });

  it('has neither scan nor smoke where they are off', () => {
    const plan = planOf(load('services: [{ image: a/app, scan: off, smoke: off }]'), 'app');
    assert.ok(plan !== undefined && plan.checks.length === 0);
  });

  it('keeps secrets as references', () => {
    const plan = planOf(load('services: [{ image: a/app, smoke: { env: { P: env:TOKEN } } }]', env), 'app');
    assert.deepEqual(settingsIn(plan, 'smoke')?.env, { P: 'env:TOKEN' });
  });

  it('makes the path of a plain git repository absolute, and leaves URLs as they are', () => {
    for (const [written, read] of [
      ['./deployment.git', (folder: string) => join(folder, 'deployment.git')],
      ['/srv/deployment.git', () => '/srv/deployment.git'],
      ['git@git.example.org:team/deployment', () => 'git@git.example.org:team/deployment'],
      ['https://git.example.org/team/deployment', () => 'https://git.example.org/team/deployment'],
    ] as const) {
      const configuration = load(`services: [{ image: a/app, change: { repository: "${written}", file: f } }]`);
      assert.equal(planOf(configuration, 'app')?.stages[0]?.change?.repository, read(configuration.directory));
    }
  });
});

describe('defaults', () => {
  const text = `
defaults:
  platforms: [linux/amd64, linux/arm64]
  scan: { failOn: high, ignore: [{ id: CVE-1, reason: r }] }
  smoke: { timeout: 30s, env: { A: a, B: b }, http: { port: 80, path: /health } }
  change: { repository: ./d, file: f, services: [x], labels: [one] }
services:
  - image: a/same
  - image: a/merged
    platforms: [linux/amd64]
    scan: { failOn: low, ignore: [] }
    smoke: { env: { B: c }, http: { port: 81 } }
    change: { base: release, labels: [] }
  - image: a/other
    scan: off
    smoke: { exec: [ready] }
    change: { path: spec.image }
  - image: a/nothing
    change: off
`;
  let same: Plan | undefined;
  let merged: Plan | undefined;
  let other: Plan | undefined;
  let nothing: Plan | undefined;
  before(() => {
    const configuration = load(text);
    [same, merged, other, nothing] = ['same', 'merged', 'other', 'nothing'].map((name) => planOf(configuration, name));
  });

  it('merge into each service, map by map', () => {
    assert.equal(settingsIn(same, 'smoke')?.timeoutMs, 30_000);
    assert.deepEqual(settingsIn(merged, 'smoke')?.env, { A: 'a', B: 'c' });
    assert.deepEqual(settingsIn(merged, 'smoke')?.probe, { kind: 'http', port: 81, path: '/health' });
    assert.equal(merged?.stages[0]?.change?.base, 'release');
    assert.equal(merged?.stages[0]?.change?.file, 'f');
  });

  it('are replaced list by list', () => {
    assert.deepEqual(same?.platforms, ['linux/amd64', 'linux/arm64']);
    assert.deepEqual(merged?.platforms, ['linux/amd64']);
    assert.deepEqual(settingsIn(merged, 'scan'), { failOn: 'low', ignoreUnfixed: false, ignore: [] });
    assert.deepEqual(merged?.stages[0]?.change?.labels, []);
  });

  it('give way to off, and to another choice of the same kind', () => {
    assert.equal(settingsIn(other, 'scan'), undefined);
    assert.deepEqual(settingsIn(other, 'smoke')?.probe, { kind: 'exec', command: ['ready'] });
    assert.deepEqual(other?.stages[0]?.change?.target, { kind: 'yaml', path: 'spec.image' });
    assert.ok(nothing !== undefined && nothing.stages[0]?.change === undefined);
  });

  it('give way where a service is run to its end, and where it is not', () => {
    const text = (far: string, near: string) => `defaults: { smoke: ${far} }\nservices: [{ image: a/app, smoke: ${near} }]`;
    const planned = (far: string, near: string) => settingsIn(planOf(load(text(far, near)), 'app'), 'smoke') ?? {};
    const run = planned('{ timeout: 5s, stayUp: 2s, http: { port: 80 }, command: [serve] }', '{ run: [spec], expect: json }');
    assert.deepEqual([run.timeoutMs, run.probe, run.command, run.expect], [5_000, undefined, ['spec'], { json: {} }]);
    for (const near of ['{ tcp: { port: 80 } }', '{ stayUp: 5s }', '{ command: [serve] }'])
      assert.equal(Object.hasOwn(planned('{ run: [spec], expect: json }', near), 'expect'), false, near);
    const ends = ['exit', 'json', '{ json: { type: SPEC } }'].map(
      (expect) => planned('{ run: [spec], expect: { json: { n: 1 } } }', `{ expect: ${expect} }`).expect,
    );
    assert.deepEqual(ends, [{}, { json: {} }, { json: { n: 1, type: 'SPEC' } }]);
    assert.deepEqual(planned('{}', '{ run: [] }').expect, {});
  });

  it('do not mix two tag policies', () => {
    const tags = 'defaults: { tags: { semver: "1" } }\nservices: [{ image: a/app, tags: { pattern: a, order: newest } }]';
    assert.deepEqual(planOf(load(tags), 'app')?.tags, { kind: 'pattern', pattern: 'a', order: 'newest' });
  });

  it('reach the stages through the service, and a stage says the last word', () => {
    const stages = `${github}
defaults: { change: { repository: ./d, file: f }, dispatch: { repository: a/b, event: e } }
services:
  - image: a/app
    change: { services: [web] }
    stages:
      - { name: staging, change: { file: staging.yml }, dispatch: off }
      - { name: production }
`;
    const plan = planOf(load(stages, env), 'app');
    assert.deepEqual(
      plan?.stages.map(({ name, change, dispatch }) => [name, change?.file, change?.target, dispatch?.event]),
      [
        ['staging', 'staging.yml', { kind: 'compose', services: ['web'] }, undefined],
        ['production', 'f', { kind: 'compose', services: ['web'] }, 'e'],
      ],
    );
  });

  it('may hold the stages of all services', () => {
    const stages = 'defaults: { stages: [{ name: test }, { name: live }] }\nservices: [{ image: a/app }]';
    assert.deepEqual(
      planOf(load(stages), 'app')?.stages.map(({ name }) => name),
      ['test', 'live'],
    );
  });
});

describe('who follows a push', () => {
  it('is a service of a pattern, named after the last path segment', () => {
    assert.deepEqual(names('services: [{ image: ghcr.io/team/* }]', 'ghcr.io/team/app'), ['app']);
    assert.deepEqual(names('services: [{ image: ghcr.io/team/*, name: team-* }]', 'ghcr.io/team/app'), ['team-app']);
  });

  it('is nobody for another tag, folder, depth or registry', () => {
    const text = 'services: [{ image: ghcr.io/team/* }]';
    assert.deepEqual(names(text, 'ghcr.io/team/app', 'beta'), []);
    for (const image of ['ghcr.io/other/app', 'ghcr.io/team/sub/app', 'docker.io/team/app'])
      assert.deepEqual(names(text, image), []);
  });

  it('is the more exact entry, wherever it stands in the file, and whatever tags it follows', () => {
    const text = `
services:
  - { image: ghcr.io/team/*, name: any-* }
  - { image: ghcr.io/team/app-*, name: app-* }
  - { image: ghcr.io/team/app-web, name: web, tags: [stable] }
`;
    assert.deepEqual(names(text, 'ghcr.io/team/worker'), ['any-worker']);
    assert.deepEqual(names(text, 'ghcr.io/team/app-api'), ['app-app-api']);
    assert.deepEqual(names(text, 'ghcr.io/team/app-web'), []);
    assert.deepEqual(names(text, 'ghcr.io/team/app-web', 'stable'), ['web']);
  });

  it('is each service that names the repository and follows the tag', () => {
    const text = `
services:
  - { image: a/app, name: edge, tags: [edge, latest] }
  - { image: a/app, name: stable, tags: { semver: ">=1" } }
  - { image: a/app, name: both, tags: { pattern: ".*", order: newest } }
`;
    assert.deepEqual(names(text, 'docker.io/a/app', 'latest'), ['edge', 'both']);
    assert.deepEqual(names(text, 'docker.io/a/app', '1.2.3'), ['stable', 'both']);
    assert.equal(plansOfRepository(load(text), repository('docker.io/a/app')).length, 3);
  });

  it('never shares its name with the service of another repository', () => {
    const text = 'services: [{ image: ghcr.io/a/app }, { image: ghcr.io/b/* }]';
    assert.deepEqual(names(text, 'ghcr.io/a/app'), ['app']);
    assert.deepEqual(names(text, 'ghcr.io/b/app'), ['b-app']);
    assert.deepEqual(names(text, 'ghcr.io/b/web'), ['web']);
  });

  it('is named by all that its pattern leaves open', () => {
    const configuration = load('services: [{ image: "ghcr.io/*/app" }, { image: "quay.io/*/*", name: "quay-*" }]');
    const nameOf = (repository: string) => plansOfRepository(configuration, repository as Repository)[0]?.service;
    assert.deepEqual(['ghcr.io/red/app', 'ghcr.io/blue/app', 'quay.io/red/app'].map(nameOf), [
      'red-app',
      'blue-app',
      'quay-red-app',
    ]);
  });

  it('is one of a path of any depth, and two paths never have one name', () => {
    const text = 'services: [{ image: "ghcr.io/team/svc-**" }, { image: ghcr.io/team/svc-web, name: own }]';
    assert.deepEqual(names(text, 'ghcr.io/team/svc-a'), ['svc-a']);
    assert.deepEqual(names(text, 'ghcr.io/team/svc-web'), ['own']);
    assert.deepEqual(names(text, 'ghcr.io/team/other'), []);
    const [deep, flat] = ['svc-a/b', 'svc-a__b'].flatMap((path) => names(text, `ghcr.io/team/${path}`));
    assert.equal(deep, 'svc-a__b');
    assert.match(flat ?? '', /^svc-a__b-[0-9a-f]{12}$/);
  });

  it('is a service of its own for each tag that goes its own way', () => {
    const configuration = load('services: [{ image: "ghcr.io/team/**", tags: { pattern: ".*", order: none } }]');
    const image = repository('ghcr.io/team/app');
    const [plan, ...others] = plansFor(configuration, image, 'dev' as Tag);
    assert.deepEqual([plan?.service, plan?.tags, others], ['app@dev', { kind: 'exact', tags: ['dev'] }, []]);
    const long = plansFor(configuration, image, 'x'.repeat(128) as Tag)[0]?.service ?? '';
    assert.match(long, /^app@x+-[0-9a-f]{12}$/);
    assert.equal(long.length, 99);
    // Which of them was pushed has to be said.
    assert.deepEqual(plansOfRepository(configuration, image), []);
  });

  it('has a name that fits workflow ids, and is still its own, however long the path', () => {
    const long = 'x'.repeat(120);
    const [a, b] = ['a', 'b'].flatMap((end) =>
      names('services: [{ image: ghcr.io/team/*, name: "n-*" }]', `ghcr.io/team/${long}${end}`),
    );
    assert.ok(a !== undefined && b !== undefined);
    assert.notEqual(a, b);
    const exact = names(`services: [{ image: ghcr.io/team/${long} }]`, `ghcr.io/team/${long}`);
    for (const name of [a, b, ...exact]) assert.match(name, namePattern);
  });

  it('writes to the compose service of its own name where a pattern gave it', () => {
    const text = 'services: [{ image: ghcr.io/team/*, change: { repository: ./d, file: "{service}.yml" } }]';
    const [plan] = plansFor(load(text), repository('ghcr.io/team/app'), latest);
    assert.deepEqual(plan?.stages[0]?.change?.target, { kind: 'compose', services: ['app'], orByImage: true });
    assert.equal(plan?.stages[0]?.change?.file, 'app.yml');
  });

  it('is told to people in a line per service', () => {
    const text = 'services: [{ image: a/* }, { image: a/b, tags: { semver: "1" } }]';
    assert.deepEqual(describeFollowed(load(text)), ['*: docker.io/a/* (latest)', 'b: docker.io/a/b (semver 1)']);
  });
});
