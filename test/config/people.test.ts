import assert from 'node:assert/strict';
import { deployHosts, hostsToServe } from '../../src/config/hosts.ts';
import { plansOfRepository } from '../../src/config/plans.ts';
import type { Repository } from '../../src/domain/image-reference.ts';
import { load, problemsIn } from './support.ts';

const env = { SECRET: 's' };
const usual = ['proposed', 'approval', 'blocked', 'delivered', 'rolled-back', 'failed', 'expired'];

function notifiers(written: string, image = 'ghcr.io/team/app') {
  const text = `forge: { github: { token: env:SECRET } }\nservices: [{ image: ghcr.io/team/* }]\nnotify: [${written}]`;
  return plansOfRepository(load(text, env), image as Repository)[0]?.notify;
}

describe('who is told', () => {
  for (const [written, notifier] of [
    ['{ slack: env:SECRET }', { kind: 'slack', settings: { url: 'env:SECRET' } }],
    [
      '{ slack: { token: env:SECRET, channel: C1, api: "http://127.0.0.1:1/api/" } }',
      { kind: 'slack', settings: { token: 'env:SECRET', channel: 'C1', api: 'http://127.0.0.1:1/api' }, updates: 'rollout' },
    ],
    ['{ discord: env:SECRET }', { kind: 'discord', settings: { url: 'env:SECRET' }, updates: 'rollout' }],
    [
      '{ webhook: { url: "https://x/y", secret: env:SECRET } }',
      { kind: 'webhook', settings: { url: 'https://x/y', secret: 'env:SECRET' } },
    ],
    [
      '{ webhook: { url: env:SECRET, secret: env:SECRET } }',
      { kind: 'webhook', settings: { url: 'env:SECRET', secret: 'env:SECRET' } },
    ],
    [
      '{ email: { smtp: env:SECRET, from: Landfall <l@x.org>, to: a@x.org } }',
      { kind: 'email', settings: { smtp: 'env:SECRET', from: 'Landfall <l@x.org>', to: ['a@x.org'] } },
    ],
    [
      '{ email: { smtp: env:SECRET, from: l@x.org, to: [a@x.org, b@x.org] } }',
      { kind: 'email', settings: { smtp: 'env:SECRET', from: 'l@x.org', to: ['a@x.org', 'b@x.org'] } },
    ],
  ] as const) {
    it(`is ${written}, of the usual events`, () => {
      assert.deepEqual(notifiers(written), [{ ...notifier, events: usual }]);
    });
  }

  it('is GitHub, of what a Deployment can be', () => {
    const events = ['deploying', 'healthy', 'unhealthy', 'rolled-back', 'failed'];
    assert.deepEqual(notifiers('{ github: true }, { github: { repository: a/b } }'), [
      { kind: 'github', settings: {}, updates: 'stage', events },
      { kind: 'github', settings: { repository: 'a/b' }, updates: 'stage', events },
    ]);
  });

  it('hears of the events that are named', () => {
    assert.deepEqual(notifiers('{ discord: env:SECRET, events: [proposed, unchanged] }')?.[0]?.events, ['proposed', 'unchanged']);
  });

  it('hears of the services whose names match', () => {
    const written = '{ discord: env:SECRET, services: [app] }, { slack: env:SECRET, services: ["w*", "*-jobs"] }';
    const kinds = (image: string) => notifiers(written, `ghcr.io/team/${image}`)?.map(({ kind }) => kind);
    assert.deepEqual(kinds('app'), ['discord']);
    assert.deepEqual(kinds('web'), ['slack']);
    assert.deepEqual(kinds('app-jobs'), ['slack']);
    assert.equal(kinds('other'), undefined);
  });
});

const provider = '{ issuer: "https://id.example", clientId: landfall, roles: { view: [staff] } }';

describe('the problems with people', () => {
  for (const [claim, text, expected] of [
    [
      'an operator named twice',
      'operators: [{ name: a, roles: [operate] }, { name: A, roles: [operate] }]',
      /operators\[1\]\.name: expected each name once, found that of operators\[0\]/,
    ],
    [
      'a login given twice',
      'operators: [{ name: a, github: X, roles: [operate] }, { name: b, github: x, roles: [operate] }]',
      /operators\[1\]\.github: expected each login once/,
    ],
    [
      'the id of an account twice',
      'operators: [{ name: a, github: x, githubId: 7, roles: [operate] }, { name: b, github: y, githubId: 7, roles: [operate] }]',
      /operators\[1\]\.githubId: expected each id once, found that of operators\[0\] again/,
    ],
    [
      'the id of an account without its login',
      'operators: [{ name: a, githubId: 7, roles: [operate] }]',
      /operators\[0\]\.githubId: expected github, the login of that account, beside it/,
    ],
    ['an operator without roles', 'operators: [{ name: a, roles: [] }]', /operators\[0\]\.roles: expected at least 1/],
    [
      'a name that looks like a login',
      'operators: [{ name: "ann (oidc)" }]',
      /operators\[0\]\.name: expected a name without blanks/,
    ],
    [
      'one person at the provider twice',
      'operators: [{ name: a, oidc: x }, { name: b, oidc: X }]',
      /operators\[1\]\.oidc: expected each name at the OpenID provider once/,
    ],
    ['a provider without a way back', `login: { oidc: ${provider} }`, /login\.url: expected url beside oidc/],
    [
      'a provider beside a cluster, without a key',
      `temporal: { address: "t:7233" }\nlogin: { url: "https://l.example", oidc: ${provider} }`,
      /login\.key: expected key beside oidc: workers elsewhere/,
    ],
    [
      'a provider without TLS',
      `login: { url: "https://l.example", oidc: ${provider.replace('https', 'http')} }`,
      /login\.oidc\.issuer: expected a URL that begins with https/,
    ],
    [
      'a provider whose groups may do nothing',
      `login: { url: "https://l.example", oidc: ${provider.replace('view: [staff]', '')} }`,
      /login\.oidc\.roles: expected groups for at least one of view, operate, approve/,
    ],
    [
      'jobs of another GitHub than that of the repositories',
      'forge: { github: { token: env:SECRET, url: "https://github.corp.example/api/v3" } }\nlogin: { jobs: { audience: x } }',
      /login\.jobs: expected issuer beside forge\.github\.url/,
    ],
    [
      'jobs of another forge than that of all builds',
      [
        'forge: { github: { token: env:SECRET } }',
        'login: { jobs: { audience: x, issuer: "https://gitea.example/api/actions" } }',
        'builds: [{ source: { git: team/app }, image: ghcr.io/team/app }]',
      ].join('\n'),
      /login\.jobs\.issuer: expected the issuer of github\.com, where the builds' repositories are .* found that of gitea\.example/,
    ],
    [
      'an issuer of jobs without TLS',
      'login: { jobs: { audience: x, issuer: "http://ci.example" } }',
      /login\.jobs\.issuer: expected a URL that begins with https/,
    ],
    [
      'a role that there is not',
      'operators: [{ name: a, roles: [rule] }]',
      /roles\[0\]: expected view, operate or approve, found 'rule'/,
    ],
    [
      "an operator's token in plain text",
      'operators: [{ name: a, token: hunter2, roles: [operate] }]',
      /token: expected env:NAME or file:PATH/,
    ],
    ['a login that is none', 'operators: [{ name: a, github: "@ann", roles: [operate] }]', /github: expected a login at GitHub/],
    ['a notifier without target', 'notify: [{ events: [blocked] }]', /notify\[0\]: expected one of slack, .* found none/],
    [
      'a notifier of two targets',
      'notify: [{ discord: env:SECRET, github: true }]',
      /notify\[0\]: expected one of .* found discord and github/,
    ],
    [
      'an event that there is not',
      'notify: [{ discord: env:SECRET, events: [deployed] }]',
      /events\[0\]: expected proposed, approval, .*found 'deployed'/,
    ],
    [
      "a webhook's URL in plain text",
      'notify: [{ discord: "https://discord.com/api/webhooks/1/hunter2" }]',
      /discord: expected env:NAME or file:PATH/,
    ],
    [
      'the URL of Slack in plain text',
      'notify: [{ slack: "https://hooks.slack.com/hunter2" }]',
      /notify\[0\]\.slack: expected env:NAME or file:PATH/,
    ],
    [
      'a bot of Slack without channel',
      'notify: [{ slack: { token: env:SECRET } }]',
      /slack\.channel: expected a channel, found nothing/,
    ],
    ['a webhook without secret', 'notify: [{ webhook: { url: "http://x" } }]', /webhook\.secret: expected env:NAME/],
    ['a webhook to nowhere', 'notify: [{ webhook: { url: hunter2, secret: env:SECRET } }]', /webhook\.url: expected a URL/],
    [
      'credentials in the URL of a webhook',
      'notify: [{ webhook: { url: "https://hunter2@x", secret: env:SECRET } }]',
      /webhook\.url: expected a URL without user/,
    ],
    ['mail to nobody', 'notify: [{ email: { smtp: env:SECRET, from: a@x, to: [] } }]', /email\.to: expected at least 1/],
    [
      'mail to no address',
      'notify: [{ email: { smtp: env:SECRET, from: a@x, to: ann } }]',
      /email\.to: expected an e-mail address/,
    ],
    ['Deployments without forge.github', 'notify: [{ github: true }]', /notify\[0\]\.github: expected forge\.github/],
    ['a missing secret', 'notify: [{ discord: env:NOT_SET }]', /discord: expected a secret in the environment variable NOT_SET/],
  ] as const) {
    it(`include ${claim}`, () => {
      const found = problemsIn(text, env);
      assert.ok(found.length === 1 && expected.test(found[0] ?? ''), found.join('\n'));
      assert.ok(!found.join().includes('hunter2'), 'a secret is shown');
    });
  }
});

describe('the hosts of deploys', () => {
  const text = `
forge: { github: { token: env:SECRET } }
services:
  - image: a/one
    stages:
      - { name: a, deploy: { on: web-2, docker: { container: x } } }
      - { name: b, deploy: { on: web-1, compose: { directory: /srv } } }
      - { name: c, deploy: { workflow: { repository: a/b, workflow: w } } }
      - { name: d }
  - { image: a/two, deploy: { on: web-2, docker: { container: x } } }
  - { image: a/three, deploy: { docker: { container: x } } }
`;

  it('are those that deploys name, each once, and default for those that name none', () => {
    assert.deepEqual(deployHosts(load(text, env)), ['web-2', 'web-1', 'default']);
    assert.deepEqual(deployHosts(load('services: [{ image: a/b }]')), []);
  });

  it('are all served, or those of LANDFALL_HOSTS', () => {
    const configuration = load(text, env);
    assert.deepEqual(hostsToServe(configuration, {}), { hosts: ['web-2', 'web-1', 'default'] });
    assert.deepEqual(hostsToServe(configuration, { LANDFALL_HOSTS: '' }), { hosts: ['web-2', 'web-1', 'default'] });
    assert.deepEqual(hostsToServe(configuration, { LANDFALL_HOSTS: 'web-1, default,web-1' }), { hosts: ['web-1', 'default'] });
  });

  it('may be default, whether a deploy needs it or not', () => {
    const configuration = load('services: [{ image: a/b }]');
    assert.deepEqual(hostsToServe(configuration, { LANDFALL_HOSTS: 'default' }), { hosts: ['default'] });
  });

  it('are refused where no deploy names them', () => {
    assert.deepEqual(hostsToServe(load(text, env), { LANDFALL_HOSTS: 'web-1,web-3' }), {
      problem: "LANDFALL_HOSTS: expected a list of web-2, web-1, default, found 'web-3'",
    });
  });
});
