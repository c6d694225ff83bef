import assert from 'node:assert/strict';
import { loadConfiguration } from '../../src/config/load.ts';
import { planOf, plansFor } from '../../src/config/plans.ts';
import { parseRepository, type Tag } from '../../src/domain/image-reference.ts';
import { dispatchOfPush } from '../../src/domain/plan.ts';
import { product } from '../../src/product.ts';
import { settingsIn } from '../support/plans.ts';
import { load, problemsIn, withFile } from './support.ts';

const github = 'forge: { github: { token: env:T } }';
const env = { T: 't' };
const service = (settings: string, more = ''): string =>
  `${github}\n${more}\nservices:\n  - image: quay.io/team/app\n    ${settings}\n`;

describe('a dispatch beside a change', () => {
  const warningsOf = (settings: string) =>
    withFile(service(`change: { repository: a/b, file: f }\n    ${settings}`), (file) => {
      const loaded = loadConfiguration(file, env, product);
      assert.ok('configuration' in loaded, JSON.stringify(loaded));
      return loaded.warnings.map(({ message }) => message).filter((message) => message.startsWith('dispatch'));
    });

  it('is warned of where it tells the repository that the change is proposed to', () => {
    const [warning = '', ...more] = warningsOf('dispatch: { repository: a/b, event: image_published }');
    assert.match(warning, /dispatch tells a\/b of what Landfall proposes there itself.*each push gets two/);
    assert.deepEqual([more, warningsOf('dispatch: { repository: a/c, event: image_published }')], [[], []]);
  });
});

describe('a dispatch per push', () => {
  it('is all that such a service does, whatever the defaults say', () => {
    const defaults = `defaults:
  platforms: [linux/amd64]
  scan: { failOn: high }
  smoke: { http: { port: 80 } }
  integration: { compose: test.yml, test: { image: tester } }
  change: { repository: ./d, file: f }
  merge: auto
  watch: { tcp: { host: a, port: 1 } }`;
    const plan = planOf(load(service('dispatch: { payload: quay }', defaults), env), 'app');
    assert.deepEqual(plan, {
      service: 'app',
      repository: 'quay.io/team/app',
      tags: { kind: 'exact', tags: ['latest'] },
      platforms: [],
      checks: [],
      stages: [{ name: 'production', rollback: 'off', dispatch: { event: 'QUAY_BUILD_SUCCESS', payload: 'quay', per: 'push' } }],
      decideWithinMs: 86_400_000,
    });
    assert.deepEqual(plan && dispatchOfPush(plan), plan?.stages[0]?.dispatch);
  });

  it('may be that of the defaults, for every repository of a pattern and every tag', () => {
    const text = `${github}
defaults: { dispatch: { payload: image-push, event: pushed, per: push } }
services: [{ image: quay.io/*/*, tags: { pattern: ".*", order: newest } }]`;
    const [plan, ...more] = plansFor(load(text, env), parseRepository('quay.io/your_github/some-repo'), 'feature-7' as Tag);
    assert.deepEqual(more, []);
    assert.deepEqual(plan?.stages[0]?.dispatch, { event: 'pushed', payload: 'image-push', per: 'push' });
  });

  it('may stand in a single stage, and beside what is switched off', () => {
    const settings = `scan: off
    smoke: off
    merge: off
    deploy: none
    windows: []
    stages: [{ name: live, dispatch: { repository: a/b, event: e, per: push } }]`;
    const plan = planOf(load(service(settings), env), 'app');
    assert.deepEqual(plan?.stages, [{ name: 'live', rollback: 'off', dispatch: { repository: 'a/b', event: 'e', per: 'push' } }]);
  });

  for (const [key, setting] of [
    ['platforms', 'platforms: [linux/amd64]'],
    ['scan', 'scan: { failOn: high }'],
    ['smoke', 'smoke: {}'],
    ['integration', 'integration: { compose: a.yml, test: { image: t } }'],
    ['change', 'change: { repository: ./d, file: f }'],
    ['approval', 'approval: { from: [ann] }'],
    ['windows', 'windows: [{ deny: "Sat,Sun" }]'],
    ['merge', 'merge: auto'],
    ['mergeMethod', 'mergeMethod: squash'],
    ['deploy', 'deploy: { docker: { container: app } }'],
    ['watch', 'watch: { tcp: { host: a, port: 1 } }'],
    ['rollback', 'rollback: manual'],
    ['decideWithin', 'decideWithin: 1h'],
  ] as const) {
    it(`is refused beside ${key}, on the service and in its stage`, () => {
      const expected = (path: string) =>
        `${path}: expected no ${key} beside a dispatch per push, found one: such a push is passed on at once, without any other step; leave it out, or say per: tag in dispatch`;
      const onService = problemsIn(service(`dispatch: { payload: quay }\n    ${setting}`), env);
      assert.deepEqual(
        onService.filter((problem) => problem.includes('beside a dispatch')).map((problem) => problem.replace(/^6:\d+ /, '')),
        [expected(`services[0].${key}`)],
      );
      if (['platforms', 'scan', 'smoke', 'integration', 'decideWithin'].includes(key)) return;
      const inStage = problemsIn(service(`dispatch: { payload: quay }\n    stages: [{ name: live, ${setting} }]`), env);
      assert.ok(
        inStage.some((problem) => problem.endsWith(expected(`services[0].stages[0].${key}`))),
        inStage.join('\n'),
      );
    });
  }

  it('is refused in one of several stages, also those of the defaults', () => {
    const two = 'stages: [{ name: test }, { name: live, dispatch: { payload: quay } }]';
    assert.match(problemsIn(service(two), env).join(), /5:5 services\[0\]\.stages: expected one stage .*, found 2/);
    const inherited = problemsIn(
      service('dispatch: { payload: quay }', 'defaults: { stages: [{ name: test }, { name: live }] }'),
      env,
    );
    assert.match(inherited.join(), /services\[0\]\.dispatch: expected one stage .*, found 2/);
  });

  it('gives way to per: tag, with checks and stages as ever', () => {
    const plan = planOf(load(service('dispatch: { payload: quay, per: tag }\n    scan: { failOn: high }'), env), 'app');
    assert.equal(settingsIn(plan, 'scan')?.failOn, 'high');
    assert.deepEqual(plan?.stages[0]?.dispatch, { event: 'QUAY_BUILD_SUCCESS', payload: 'quay' });
    assert.equal(plan && dispatchOfPush(plan), undefined);
  });
});

describe('a dispatch', () => {
  it('per tag is one of a rollout, with the usual checks', () => {
    const plan = planOf(load(service('dispatch: { repository: a/b, event: e }'), env), 'app');
    assert.deepEqual([settingsIn(plan, 'scan')?.failOn, settingsIn(plan, 'smoke')?.timeoutMs], ['critical', 60_000]);
    assert.deepEqual(plan?.stages, [{ name: 'production', rollback: 'off', dispatch: { repository: 'a/b', event: 'e' } }]);
  });

  for (const [what, settings, expected] of [
    ['without a repository in our own shape', 'dispatch: { event: e }', /dispatch\.repository: expected a GitHub repository/],
    ['of image-push without an event', 'dispatch: { payload: image-push }', /dispatch\.event: expected an event type/],
    ['of an unknown shape', 'dispatch: { payload: other }', /dispatch\.payload: expected .*landfall.*quay.*image-push/],
    ['per something else', 'dispatch: { payload: quay, per: build }', /dispatch\.per: expected .*tag.*push/],
  ] as const) {
    it(`${what} is refused`, () => assert.match(problemsIn(service(settings), env).join('\n'), expected));
  }

  it('to the repository of the image is refused where the image names none of GitHub', () => {
    for (const image of ['quay.io/team/deep/app', 'quay.io/app', 'quay.io/*/deep/*']) {
      const text = `${github}\nservices: [{ image: ${image}, dispatch: { payload: quay } }]`;
      assert.match(
        problemsIn(text, env).join('\n'),
        /dispatch\.repository: expected a GitHub repository as owner\/name, found nothing, and/,
      );
    }
  });

  it('without GitHub is refused, also where it names no repository', () => {
    const said = problemsIn('services: [{ image: quay.io/team/app, dispatch: { payload: quay } }]').join('\n');
    assert.match(
      said,
      /dispatch\.repository: expected forge\.github with token or app, because a dispatch goes to a repository at GitHub/,
    );
  });
});
