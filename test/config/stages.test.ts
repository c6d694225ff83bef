import assert from 'node:assert/strict';
import { plansOfRepository } from '../../src/config/plans.ts';
import type { Repository } from '../../src/domain/image-reference.ts';
import type { DeployPlan, StagePlan } from '../../src/domain/plan.ts';
import { settingsIn } from '../support/plans.ts';
import { load, problemsIn } from './support.ts';

const env = { SECRET: 's' };
const head = `
forge: { github: { token: env:SECRET } }
operators:
  - { name: ann, github: ann-gh, token: env:SECRET, roles: [operate, approve] }
  - { name: bob, roles: [approve] }
`;

/** The stages of the service that follows ghcr.io/team/app. */
function stages(text: string): readonly StagePlan[] {
  const [plan] = plansOfRepository(load(head + text, env), 'ghcr.io/team/app' as Repository);
  return plan?.stages ?? assert.fail('nobody follows ghcr.io/team/app');
}

/** The only stage of a service with these keys. */
function stage(...lines: readonly string[]): StagePlan {
  const [only] = stages(['services:', '  - image: ghcr.io/team/app', ...lines.map((line) => `    ${line}`)].join('\n'));
  return only ?? assert.fail();
}

/** What it says of this kind. */
function deployed(deploy: DeployPlan | undefined, kind: string): Record<string, unknown> {
  return deploy?.kind === kind ? { ...deploy.settings } : assert.fail();
}

const change = 'change: { repository: team/deployment, file: compose.yml }';

describe('a stage', () => {
  it('needs nobody and watches nothing where nothing is said', () => {
    assert.deepEqual(stage('merge: off'), { name: 'production', rollback: 'off' });
  });

  it('is approved by operators, with their logins at GitHub', () => {
    assert.deepEqual(stage('approval: { from: [ann] }').approval, {
      from: [{ name: 'ann', github: 'ann-gh' }],
      required: 1,
      withinMs: 86_400_000,
      selfApproval: true,
      // Somebody has a token, so a typed name counts only where that is said.
      verified: true,
    });
    const strict = 'approval: { from: [ann, bob], required: 2, within: 2h, selfApproval: false, verified: false }';
    assert.deepEqual(stage(strict).approval, {
      from: [{ name: 'ann', github: 'ann-gh' }, { name: 'bob' }],
      required: 2,
      withinMs: 7_200_000,
      selfApproval: false,
      verified: false,
    });
  });

  it('takes typed names where nobody has a token, and says what to do where somebody has and another has not', () => {
    const text = 'services: [{ image: ghcr.io/team/app, approval: { from: [bob] } }]';
    const nobody = load(`operators: [{ name: bob, roles: [approve] }]\n${text}`);
    assert.equal(plansOfRepository(nobody, 'ghcr.io/team/app' as Repository)[0]?.stages[0]?.approval?.verified, false);
    const [problem] = problemsIn(`${head}${text}`, env);
    assert.match(
      problem ?? '',
      /approval\.from\[0\]: expected an operator with token, oidc or github, because verified is true where any operator has a token \(verified: false takes typed names\), found 'bob'/,
    );
  });

  it('keeps its windows as they were written, in UTC where nothing is said', () => {
    const lines = [
      'windows:',
      '  - { deny: Fri 16:00 - Mon 08:00, timezone: Europe/Stockholm, reason: weekend }',
      '  - allow: { recurrence: "DTSTART:20260101T090000\\nRRULE:FREQ=WEEKLY;BYDAY=MO", for: 4h }',
    ];
    assert.deepEqual(stage(...lines).windows, [
      { kind: 'deny', timezone: 'Europe/Stockholm', reason: 'weekend', weekly: 'Fri 16:00 - Mon 08:00' },
      {
        kind: 'allow',
        timezone: 'UTC',
        recurrence: 'DTSTART:20260101T090000\nRRULE:FREQ=WEEKLY;BYDAY=MO',
        durationMs: 14_400_000,
      },
    ]);
    assert.ok(!('windows' in stage('windows: []')));
  });

  it('merges as it is told', () => {
    assert.deepEqual([stage(change).change?.merge, stage(change).change?.mergeMethod], ['off', undefined]);
    const merged = stage(change, 'merge: auto', 'mergeMethod: rebase');
    assert.deepEqual([merged.change?.merge, merged.change?.mergeMethod], ['auto', 'rebase']);
  });

  it('is rolled back by itself where it has a deploy or a watch, unless something else is said', () => {
    const deploy = 'deploy: { docker: { container: app } }';
    const watch = 'watch: { http: { url: "http://app", version: { json: "", equals: digest } } }';
    assert.equal(stage(deploy).rollback, 'auto');
    assert.equal(stage(watch).rollback, 'auto');
    assert.equal(stage(deploy, 'rollback: manual').rollback, 'manual');
    assert.equal(stage(deploy, 'rollback: off').rollback, 'off');
    assert.equal(stage('merge: off').rollback, 'off');
  });
});

describe('a deploy', () => {
  it('by compose has sensible values where nothing is said', () => {
    assert.deepEqual(stage('deploy: { compose: { directory: /srv } }').deploy, {
      kind: 'compose',
      host: 'default',
      timeoutMs: 600_000,
      foresees: true,
      proves: false,
      settings: {
        directory: '/srv',
        files: [],
        services: ['app'],
        before: [],
        after: [],
        timeoutMs: 300_000,
        others: 'ask',
      },
    });
  });

  it('by compose takes every key, and fills in names', () => {
    const lines = [
      'deploy:',
      '  on: web-1',
      '  compose:',
      '    directory: "/srv/{stage}/{service}"',
      '    files: [compose.yml, "{stage}.yml"]',
      '    project: "{service}-{stage}"',
      '    services: ["{service}", jobs]',
      '    before: [docker compose  run migrate, [sh, -c, "a b"]]',
      '    after: [done]',
      '    timeout: 1m',
      '    others: refuse',
    ];
    assert.deepEqual(stage(...lines).deploy, {
      kind: 'compose',
      host: 'web-1',
      timeoutMs: 300_000,
      foresees: true,
      proves: false,
      settings: {
        directory: '/srv/production/app',
        files: ['compose.yml', 'production.yml'],
        project: 'app-production',
        services: ['app', 'jobs'],
        before: [
          ['docker', 'compose', 'run', 'migrate'],
          ['sh', '-c', 'a b'],
        ],
        after: [['done']],
        timeoutMs: 60_000,
        others: 'refuse',
      },
    });
  });

  for (const [keys, services] of [
    ['services: [web, "{service}-jobs"]', ['web', 'app-jobs']],
    ['path: a.b', ['app']],
    ['pin: tag', ['app']],
  ] as const) {
    it(`by compose recreates ${services.join(', ')} after change: { ${keys} }`, () => {
      const changed = `change: { repository: ./d, file: f, ${keys} }`;
      const { deploy } = stage(changed, 'merge: auto', 'deploy: { compose: { directory: /srv, file: c.yml } }');
      const settings = deployed(deploy, 'compose');
      assert.deepEqual([settings.services, settings.files], [services, ['c.yml']]);
    });
  }

  it('by docker names its containers, or their label', () => {
    const containers = (written: string) => {
      const { deploy } = stage(`deploy: { docker: { ${written} } }`);
      return deployed(deploy, 'docker').containers;
    };
    assert.deepEqual(containers('container: "{service}"'), { names: ['app'] });
    assert.deepEqual(containers('containers: ["{stage}-1", b]'), { names: ['production-1', 'b'] });
    assert.deepEqual(containers('label: "service={service}"'), { label: 'service=app' });
    assert.deepEqual(stage('deploy: { on: h, docker: { containers: [a, b], canary: 1, batch: 2, timeout: 9s } }').deploy, {
      kind: 'docker',
      host: 'h',
      timeoutMs: 18_000,
      canary: 1,
      batch: 2,
      foresees: false,
      proves: false,
      settings: { containers: { names: ['a', 'b'] }, timeoutMs: 9_000 },
    });
  });

  it('by a workflow is one of the deployment repository, on its base', () => {
    const own = 'deploy: { workflow: { workflow: deploy.yml } }';
    const asked = { workflow: 'deploy.yml', inputs: {}, timeoutMs: 1_800_000 };
    const based = 'change: { repository: team/deployment, file: f, base: release }';
    assert.deepEqual(stage(based, 'merge: auto', own).deploy, {
      kind: 'workflow',
      timeoutMs: 3_600_000,
      foresees: false,
      proves: false,
      settings: { ...asked, repository: 'team/deployment', ref: 'release' },
    });
    const named =
      'deploy: { workflow: { repository: a/b, workflow: deploy.yml, ref: v1, inputs: { digest: "{digest}" }, timeout: 5m } }';
    assert.deepEqual(deployed(stage(named).deploy, 'workflow'), {
      ...asked,
      repository: 'a/b',
      ref: 'v1',
      inputs: { digest: '{digest}' },
      timeoutMs: 300_000,
    });
  });

  it('by a Deployment is in the environment that is named like the stage', () => {
    const deployment = { repository: 'team/deployment', ref: 'main', timeoutMs: 1_800_000 };
    assert.deepEqual(stage(change, 'merge: auto', 'deploy: { deployment: {} }').deploy, {
      kind: 'deployment',
      timeoutMs: 3_600_000,
      foresees: false,
      proves: true,
      settings: { ...deployment, environment: 'production' },
    });
    const named = 'deploy: { deployment: { repository: team/deployment, environment: live } }';
    assert.deepEqual(deployed(stage(named).deploy, 'deployment'), { ...deployment, environment: 'live' });
  });
});

describe('a watch', () => {
  const deploy = 'deploy: { docker: { container: a } }';
  const probes = (written: string) => stage(deploy, `watch: { ${written} }`).watch?.probes;

  it('has sensible times where nothing is said', () => {
    const { probes: _probes, ...times } = stage(deploy, 'watch: { docker: true }').watch ?? assert.fail();
    assert.deepEqual(times, { forMs: 60_000, intervalMs: 5_000, failures: 3, startPeriodMs: 30_000, withinMs: 390_000 });
    const watch = 'watch: { docker: true, for: 2m, interval: 1s, failures: 0, startPeriod: 1m, within: 1h }';
    const { probes: _others, ...said } = stage(deploy, watch).watch ?? assert.fail();
    assert.deepEqual(said, {
      forMs: 120_000,
      intervalMs: 1_000,
      failures: 0,
      startPeriodMs: 60_000,
      withinMs: 3_600_000,
    });
  });

  it('asks over HTTP: once, or several places', () => {
    const http = { kind: 'http', headers: {}, status: ['2xx', '3xx'], timeoutMs: 5_000 };
    assert.deepEqual(probes('http: { url: "https://{service}.example.org/{stage}" }'), [
      { ...http, url: 'https://app.example.org/production' },
    ]);
    const full =
      '{ url: "http://b", headers: { A: plain, B: env:SECRET }, status: [200, 3xx], body: "^ok$", header: { name: X, pattern: y }, timeout: 1s, ca: ca.pem, version: { json: /a/b, equals: revision } }';
    assert.deepEqual(probes(`http: [{ url: "http://a", status: 204, version: { header: X-V, equals: tag } }, ${full}]`), [
      { ...http, url: 'http://a', status: ['204'], version: { from: { header: 'X-V' }, equals: 'tag' } },
      {
        kind: 'http',
        url: 'http://b',
        headers: { A: 'plain', B: 'env:SECRET' },
        status: ['200', '3xx'],
        body: '^ok$',
        header: { name: 'X', pattern: 'y' },
        timeoutMs: 1_000,
        ca: 'ca.pem',
        version: { from: { json: '/a/b' }, equals: 'revision' },
      },
    ]);
  });

  it('reaches ports, as text or as a map', () => {
    const tcp = { kind: 'tcp', timeoutMs: 5_000 };
    assert.deepEqual(probes('tcp: "db:5432"'), [{ ...tcp, host: 'db', port: 5432 }]);
    assert.deepEqual(probes('tcp: ["[::1]:1", { port: 2 }, { host: "{service}", port: 3, timeout: 2s }]'), [
      { ...tcp, host: '::1', port: 1 },
      { ...tcp, host: '127.0.0.1', port: 2 },
      { kind: 'tcp', host: 'app', port: 3, timeoutMs: 2_000 },
    ]);
  });

  it('looks at containers', () => {
    assert.deepEqual(probes('docker: true'), [{ kind: 'docker', restarts: 0 }]);
    assert.deepEqual(probes('docker: { restarts: 2, containers: ["{service}-1"] }'), [
      { kind: 'docker', restarts: 2, containers: ['app-1'] },
    ]);
  });

  it('runs commands: a text, a list of words, a map, or several', () => {
    const ready = { kind: 'command', command: ['ready', '--now'], timeoutMs: 10_000 };
    assert.deepEqual(probes('command: ready --now'), [ready]);
    assert.deepEqual(probes('command: [ready, --now]'), [ready]);
    assert.deepEqual(probes('command: { command: [ready, --now], timeout: 3s }'), [{ ...ready, timeoutMs: 3_000 }]);
    assert.deepEqual(probes('command: [[ready, --now], { command: ready --now, timeout: 3s }]'), [
      ready,
      { ...ready, timeoutMs: 3_000 },
    ]);
  });

  it('takes several kinds of probes together', () => {
    const kinds = probes('command: a, docker: true, tcp: "a:1", http: { url: "http://a" }')?.map(({ kind }) => kind);
    assert.deepEqual(kinds, ['http', 'tcp', 'docker', 'command']);
  });

  it('proves by a Deployment of the deployment repository', () => {
    const lines = [change, 'merge: auto', 'watch: { http: { url: "http://a" }, deployment: {} }'];
    assert.deepEqual(stage(...lines).watch?.deployment, { repository: 'team/deployment', environment: 'production' });
    const named = 'watch: { http: { url: "http://a" }, deployment: { repository: a/b, environment: live } }';
    assert.deepEqual(stage(named).watch?.deployment, { repository: 'a/b', environment: 'live' });
  });

  it('has GitOps controllers say it, by objects that are named after the service', () => {
    const argocd = 'argocd: { application: "{service}-{stage}", context: hub, podsContext: live }';
    assert.deepEqual(
      stage(`watch: { ${argocd}, flux: { helmRelease: "{service}", namespace: "{stage}", restarts: 0 } }`).watch?.probes,
      [
        {
          ...{ kind: 'argocd', object: 'Application', name: 'app-production', namespace: 'argocd', restarts: 1 },
          ...{ context: 'hub', podsContext: 'live' },
        },
        { kind: 'flux', object: 'HelmRelease', name: 'app', namespace: 'production', restarts: 0 },
      ],
    );
    const near = ['watch: { flux: { helmRelease: a } }', 'stages: [{ name: live, watch: { flux: { kustomization: b } } }]'];
    assert.deepEqual(stage(...near).watch?.probes, [
      { kind: 'flux', object: 'Kustomization', name: 'b', namespace: 'flux-system', restarts: 1 },
    ]);
  });

  for (const proof of [
    'http: { url: "http://a", version: { header: X, equals: digest } }',
    'docker: { containers: [a] }',
    'argocd: { application: a }',
    'flux: { kustomization: a }',
  ]) {
    it(`without a deploy is enough with ${proof}`, () => {
      assert.equal(stage(`watch: { ${proof} }`).watch?.probes.length, 1);
    });
  }
});

describe('the keys of a stage', () => {
  it('come from defaults, service and stage, map by map, and off switches off', () => {
    const text = `
defaults:
  change: { repository: team/deployment, file: f }
  merge: auto
  approval: { from: [ann, bob], required: 2, verified: false }
  windows: [{ deny: Sat }, { deny: Sun }]
  deploy: { on: web-1, compose: { directory: "/srv/{stage}", file: a.yml } }
  watch: { http: { url: "http://a", headers: { A: a } }, tcp: "a:1", for: 5m }
services:
  - image: ghcr.io/team/app
    watch: { http: { headers: { B: b } } }
    stages:
      - { name: same }
      - name: other
        merge: manual
        approval: { required: 1 }
        windows: [{ deny: Mon }]
        deploy: { compose: { files: [b.yml] } }
        watch: { http: [{ url: "http://b" }], docker: true }
      - { name: third, deploy: { docker: { container: c } }, watch: { for: 1s, tcp: { port: 9 } } }
      - { name: nothing, approval: off, windows: [], change: off, merge: off, deploy: none, watch: off }
`;
    const [same, other, third, nothing] = stages(text);
    assert.deepEqual([same?.change?.merge, same?.approval?.required, same?.windows?.length], ['auto', 2, 2]);
    assert.ok(same !== undefined && other !== undefined);
    const [ofSame, ofOther] = [same, other].map(({ deploy }) => deployed(deploy, 'compose'));
    assert.deepEqual([same.deploy?.host, ofSame?.directory, ofSame?.files], ['web-1', '/srv/same', ['a.yml']]);
    assert.deepEqual([other.deploy?.host, ofOther?.directory, ofOther?.files], ['web-1', '/srv/other', ['b.yml']]);
    const [http] = same.watch?.probes ?? [];
    assert.ok(http?.kind === 'http');
    assert.deepEqual([http.url, http.headers], ['http://a', { A: 'a', B: 'b' }]);
    assert.deepEqual([other.change?.merge, other.approval?.required, other.approval?.from.length], ['manual', 1, 2]);
    assert.deepEqual(
      other.windows?.map((window) => 'weekly' in window && window.weekly),
      ['Mon'],
    );
    assert.deepEqual(
      other.watch?.probes.map((probe) => (probe.kind === 'http' ? [probe.url, probe.headers] : probe.kind)),
      [['http://b', {}], 'tcp', 'docker'],
    );
    assert.equal(third?.deploy?.kind, 'docker');
    assert.equal(third.watch?.forMs, 1_000);
    assert.deepEqual(third.watch?.probes[1], { kind: 'tcp', host: 'a', port: 9, timeoutMs: 5_000 });
    assert.deepEqual(nothing, { name: 'nothing', rollback: 'off' });
  });

  it('are filled in for each service that a pattern gives', () => {
    const text = 'services: [{ image: ghcr.io/team/*, deploy: { compose: { directory: "/srv/{service}" } } }]';
    const [{ deploy } = assert.fail()] = stages(text);
    const { directory, services } = deployed(deploy, 'compose');
    assert.deepEqual([directory, services], ['/srv/app', ['app']]);
  });

  it('make a plan that is JSON-safe', () => {
    const plan = stage(
      'deploy: { docker: { label: a } }',
      'watch: { http: { url: "http://a" }, command: a }',
      'windows: [{ deny: Sat }]',
      'approval: { from: [bob], verified: false }',
    );
    assert.deepEqual(JSON.parse(JSON.stringify(plan)), plan);
  });
});

describe('an integration check', () => {
  const check = (written: string) => {
    const text = `services: [{ image: ghcr.io/team/*, integration: { compose: it.yml, ${written} } }]`;
    return settingsIn(plansOfRepository(load(text, env), 'ghcr.io/team/app' as Repository)[0], 'integration');
  };

  it('has sensible values where nothing is said', () => {
    assert.deepEqual(check('test: { image: tester }'), {
      compose: 'it.yml',
      candidate: 'app',
      services: [],
      test: { kind: 'image', image: 'tester' },
      env: {},
      timeoutMs: 300_000,
    });
  });

  it('takes every key', () => {
    const written = 'candidate: web, services: [db], env: { A: env:SECRET }, timeout: 1m';
    const common = { compose: 'it.yml', candidate: 'web', services: ['db'], env: { A: 'env:SECRET' }, timeoutMs: 60_000 };
    assert.deepEqual(check(`${written}, test: { image: tester, command: [all] }`), {
      ...common,
      test: { kind: 'image', image: 'tester', command: ['all'] },
    });
    assert.deepEqual(check(`${written}, test: { service: "{service}-test", command: run all }`), {
      ...common,
      test: { kind: 'exec', service: 'app-test', command: ['run', 'all'] },
    });
  });

  it('is none where it is off', () => {
    const text =
      'defaults: { integration: { compose: it.yml, test: { image: t } } }\nservices: [{ image: ghcr.io/team/app, integration: off }]';
    const [plan] = plansOfRepository(load(text), 'ghcr.io/team/app' as Repository);
    assert.ok(plan !== undefined && !('integration' in plan));
  });
});
