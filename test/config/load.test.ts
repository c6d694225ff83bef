import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Configuration } from '../../src/config/configuration.ts';
import { loadConfiguration } from '../../src/config/load.ts';
import type { Role } from '../../src/config/roles.ts';
import { starterConfiguration } from '../../src/config/starter.ts';
import { product } from '../../src/product.ts';
import { formatProblem } from '../../src/settings/problem.ts';
import type { ReceiverSettings } from '../../src/sources/index.ts';
import { load, problemsIn, withFile } from './support.ts';

/** As their sources read them. */
const receiversOf = ({ receivers }: Configuration) => receivers as ReceiverSettings;

describe('loading a configuration', () => {
  it('fills in every default of an empty file', () => {
    const { file, directory, artifacts, data, kinds, ...rest } = load('');
    assert.equal(kinds, product);
    assert.equal(file, join(directory, 'landfall.yaml'));
    assert.equal(artifacts, join(directory, 'artifacts'));
    assert.equal(data, join(directory, 'data'));
    assert.deepEqual(rest, {
      listen: {
        webhooks: { host: '0.0.0.0', port: 8080 },
        operators: { host: '127.0.0.1', port: 8081 },
        trustedProxies: [],
        limits: { perMinute: 1_200, inWork: 128 },
      },
      searchEveryMs: 300_000,
      audit: { file: join(data, 'audit.jsonl'), bytes: 20 * 1024 ** 2, keep: 5 },
      receivers: {},
      registries: {},
      forge: {},
      temporal: { kind: 'embedded', namespace: 'default' },
      sections: { trivy: { offline: false } },
      docker: {},
      limits: {},
      log: { level: 'info' },
      login: { session: 28_800_000 },
      operators: [],
      notify: [],
      builds: [],
      services: [],
    });
  });

  it('reads every key beside the services', () => {
    const text = `
publicUrl: https://landfall.example.org/
listen:
  webhooks: "[::1]:0"
  operators: localhost:9000
  tls: { cert: tls.pem, key: /etc/tls.key }
  trustedProxies: [10.0.0.0/8, "::1"]
  limits: { perMinute: 60 }
receivers:
  github: { secrets: [env:A, "env:B?"] }
  distribution: { token: env:A }
registries:
  ghcr.io: { username: env:A, password: env:A, search: 10m, hosts: [tokens.example.org, 'storage.lan:9000'] }
  index.docker.io: { username: ann, password: env:A }
  localhost:5001: { plainHttp: true, search: off }
forge:
  github:
    app: { id: 7, privateKey: env:A, installationId: 8 }
    url: https://github.example.org/api/v3
    hooks: [team/app, team]
search: off
audit: { file: log/audit.jsonl, size: 1m, keep: 2, endpoint: env:A }
temporal:
  address: temporal.example.org:7233
  namespace: ships
  tls: { serverName: temporal, ca: ca.pem, certificate: /etc/client.pem, key: env:A }
  apiKey: env:A
  ui: https://temporal.example.org/
artifacts: reports
data: /var/lib/landfall
trivy: { command: trivy, cacheDir: cache, dbRepository: mirror.example.org/trivy-db, javaDbRepository: mirror.example.org/java-db, offline: true, server: "http://trivy:4954" }
docker: { host: unix:///run/docker.sock }
limits: { checks: 3, builds: 2 }
log: { level: debug }
operators: [{ name: Ann Lee, github: ann-gh, token: env:A, roles: [operate, approve] }, { name: bob, roles: [approve] }]
notify: [{ discord: env:A, services: [web, api-*] }]
services: []
`;
    const { directory, file: _file, kinds: _kinds, ...configuration } = load(text, { A: 'a' });
    assert.deepEqual(configuration, {
      publicUrl: 'https://landfall.example.org',
      listen: {
        webhooks: { host: '::1', port: 0 },
        operators: { host: 'localhost', port: 9000 },
        tls: { cert: join(directory, 'tls.pem'), key: '/etc/tls.key' },
        trustedProxies: ['10.0.0.0/8', '::1'],
        limits: { perMinute: 60, inWork: 128 },
      },
      audit: { file: join(directory, 'log/audit.jsonl'), bytes: 1024 ** 2, keep: 2, endpoint: 'env:A' },
      receivers: { github: { secrets: ['env:A', 'env:B?'] }, distribution: { token: ['env:A'] } },
      registries: {
        'ghcr.io': {
          username: 'env:A',
          password: 'env:A',
          plainHttp: false,
          hosts: ['tokens.example.org', 'storage.lan:9000'],
          searchEveryMs: 600_000,
        },
        'docker.io': { username: 'ann', password: 'env:A', plainHttp: false },
        'localhost:5001': { plainHttp: true, searchEveryMs: 'off' },
      },
      forge: {
        github: {
          app: { id: '7', privateKey: 'env:A', installationId: 8 },
          url: 'https://github.example.org/api/v3',
          hooks: [{ repository: 'team/app' }, { organization: 'team' }],
        },
      },
      temporal: {
        kind: 'cluster',
        address: 'temporal.example.org:7233',
        namespace: 'ships',
        tls: { serverName: 'temporal', ca: join(directory, 'ca.pem'), certificate: '/etc/client.pem', key: 'env:A' },
        apiKey: 'env:A',
        uiUrl: 'https://temporal.example.org',
      },
      artifacts: join(directory, 'reports'),
      data: '/var/lib/landfall',
      sections: {
        trivy: {
          command: 'trivy',
          cacheDir: 'cache',
          dbRepository: 'mirror.example.org/trivy-db',
          javaDbRepository: 'mirror.example.org/java-db',
          offline: true,
          server: 'http://trivy:4954',
        },
      },
      docker: { host: 'unix:///run/docker.sock' },
      limits: { checks: 3, builds: 2 },
      log: { level: 'debug' },
      login: { session: 28_800_000 },
      operators: [
        { name: 'Ann Lee', github: 'ann-gh', token: 'env:A', roles: ['operate', 'approve'] },
        { name: 'bob', roles: ['approve'] },
      ],
      notify: [
        {
          notifier: {
            kind: 'discord',
            events: ['proposed', 'approval', 'blocked', 'delivered', 'rolled-back', 'failed', 'expired'],
            settings: { url: 'env:A' },
            updates: 'rollout',
          },
          services: ['web', 'api-*'],
        },
      ],
      builds: [],
      services: [],
    });
  });

  it("lets Temporal's own variables win over the file", () => {
    const env = { TEMPORAL_ADDRESS: 'elsewhere:7233', TEMPORAL_NAMESPACE: 'ships', TEMPORAL_API_KEY: 'k' };
    assert.deepEqual(load('temporal: { port: 7000 }', env).temporal, {
      kind: 'cluster',
      address: 'elsewhere:7233',
      namespace: 'ships',
      tls: true,
      apiKey: 'env:TEMPORAL_API_KEY',
    });
  });

  it("takes the cluster's key from the environment before the file, and reads since when there is one", () => {
    const text = 'temporal: { address: "there:7233", key: env:OUR_KEY, sealedSince: 2026-12-01T12:00:00Z }';
    const cluster = { kind: 'cluster', address: 'there:7233', namespace: 'default', tls: false };
    const sealedSince = new Date('2026-12-01T12:00:00Z');
    assert.deepEqual(load(text, { OUR_KEY: 'k' }).temporal, { ...cluster, key: 'env:OUR_KEY', sealedSince });
    assert.deepEqual(load(text, { OUR_KEY: 'k', LANDFALL_KEY: 'l' }).temporal, {
      ...cluster,
      key: 'env:LANDFALL_KEY',
      sealedSince,
    });
  });

  it('loads the starter without a problem, with nothing set in the environment', () => {
    assert.deepEqual(load(starterConfiguration(product)).services, []);
  });

  it('loads the starter with everything uncommented, too', () => {
    const uncommented = starterConfiguration(product)
      .replace('services: []', '')
      .replace(/^( *)# (?=(receivers|registries|forge|operators|login|builds|services|change|notify):| {2}\S)/gm, '$1')
      .replace('localhost:5001:', '"localhost:5001":');
    const env = Object.fromEntries(
      [
        'WEBHOOK_SECRET',
        'REGISTRY_HOOK_TOKEN',
        'GHCR_USER',
        'GHCR_TOKEN',
        'GITHUB_TOKEN',
        'ANN_TOKEN_HASH',
        'SLACK_WEBHOOK_URL',
        'QUAY_SECRET',
      ].map((name) => [name, 'x']),
    );
    assert.deepEqual(
      load(uncommented, env).services.map(({ name }) => name),
      ['your-app'],
    );
  });

  it('counts a section whose every line is commented out as absent', () => {
    assert.deepEqual(load('receivers:\n  # github: {}\nservices:\n').receivers, {});
  });

  it('takes the receiver of CI jobs from the environment alone, where the file has none of its own', () => {
    const env = { GITHUB_OIDC_AUDIENCE: 'a', GITHUB_ALLOWED_ORG: 'team', ALLOWED_IMAGE_PREFIX: 'ghcr.io/team/' };
    assert.deepEqual(receiversOf(load('', env)).event?.owners, ['team']);
    const own = 'receivers: { event: { audience: b, owners: other, imagePrefix: ghcr.io/other/ } }';
    assert.deepEqual(receiversOf(load(own, env)).event?.owners, ['other']);
    assert.deepEqual(problemsIn('', { GITHUB_ALLOWED_ORG: 'team' }), [
      '1:1 receivers.event: expected GITHUB_OIDC_AUDIENCE, GITHUB_ALLOWED_ORG, ALLOWED_IMAGE_PREFIX together, but GITHUB_OIDC_AUDIENCE and ALLOWED_IMAGE_PREFIX are not set: set all of them, or none',
    ]);
  });

  it('refuses an endpoint of the audit log that is no URL, without showing it, and a certificate header that nobody is believed in', () => {
    const canary = 'canary:secret@logs.example.org';
    const text = `listen:\n  certificateHeader: client-cert\naudit:\n  endpoint: ${canary}\n`;
    const problems = problemsIn(text);
    assert.deepEqual(problems, [
      '2:22 listen.certificateHeader: expected trustedProxies beside it: the header of anybody else counts for nothing',
      '4:13 audit.endpoint: expected a URL that begins with http:// or https://, or env:NAME or file:PATH, found something else',
    ]);
    assert.equal(
      load('audit: { endpoint: "https://u:p@logs.example.org/in" }').audit.endpoint,
      'https://u:p@logs.example.org/in',
    );
    assert.equal(
      load('listen: { certificateHeader: client-cert, trustedProxies: ["::1"] }').listen.certificateHeader,
      'client-cert',
    );
  });

  it('asks for a way in which client certificates can come', () => {
    const quay = 'receivers: { quay: { certificate: { subject: hooks.example.org } } }\n';
    assert.deepEqual(problemsIn(quay), [
      '1:22 receivers.quay.certificate: expected listen.tls beside it, or listen.certificateHeader with the proxies in listen.trustedProxies: without them no certificate ever comes',
    ]);
    assert.deepEqual(load(`${quay}listen: { tls: certs }`).receivers, {
      quay: { certificate: { subject: 'hooks.example.org' } },
    });
    assert.ok(load(`${quay}listen: { trustedProxies: [10.0.0.1], certificateHeader: client-cert }`));
  });

  it('takes the endpoint of the audit log, and how much is logged, from the environment where the file is silent', () => {
    const env = { LOGGING_ENDPOINT: 'https://logs.example.org/in', DEBUG: 'true' };
    const { audit, log } = load('', env);
    assert.deepEqual([audit.endpoint, log.level], [env.LOGGING_ENDPOINT, 'debug']);
    assert.equal(load('', { LOGGING_ENDPOINT: '', DEBUG: 'false' }).audit.endpoint, undefined);
    const said = load('audit: { endpoint: "https://other.example.org" }\nlog: { level: warn }', env);
    assert.deepEqual([said.audit.endpoint, said.log.level], ['https://other.example.org', 'warn']);
    assert.equal(load('', { DEBUG: '0' }).log.level, 'info');
  });
});

describe('the problems of a configuration', () => {
  it('says all of them at once, in the order of the file, each with its place', () => {
    const text = `listen: { webhooks: 8080 }
receivers:
  github:
    secrets: [env:NOT_SET]
sevices: []
services:
  - image: ghcr.io/team/app:1
    tags: [1.10]
  - image: ghcr.io/team/worker
    smoke:
      timeout: 5
    change: { file: compose.yml }
`;
    assert.deepEqual(problemsIn(text), [
      '1:21 listen.webhooks: expected an address as HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080, found 8080',
      '4:15 receivers.github.secrets[0]: expected a secret in the environment variable NOT_SET, which is not set: set it',
      "5:1 sevices: expected publicUrl, listen, receivers, registries, forge, temporal, operators, login, notify, artifacts, data, trivy, docker, limits, search, audit, log, defaults, builds or services, found the unknown key 'sevices' (did you mean services?)",
      "7:12 services[0].image: 'ghcr.io/team/app:1' is not an image reference: expected no tag and no digest here; which tags are followed is said by `tags`",
      '8:12 services[0].tags[0]: expected a tag, found 1.1 (put it in quotes)',
      '11:16 services[1].smoke.timeout: expected a duration such as 60s, 10m or 24h (more than 0, at most 366d), found 5',
    ]);
  });

  it('formats a problem as one line of file:line: path: what was expected', () => {
    const problem = { file: 'a.yaml', line: 3, column: 7, path: 'services[0].image', message: 'expected an image' };
    assert.equal(formatProblem(problem), 'a.yaml:3: services[0].image: expected an image');
    assert.equal(formatProblem({ ...problem, path: '' }), 'a.yaml:3: expected an image');
  });

  const refused: readonly (readonly [claim: string, text: string, ...problems: RegExp[]])[] = [
    ['broken YAML', 'services:\n  - image: "a\n', /^3:1 : expected valid YAML/],
    ['a key given twice', 'log: {}\nlog: {}\n', /^2:1 : expected valid YAML: Map keys must be unique/],
    ['an unknown YAML tag', 'data: !secret x\n', /^1:7 : expected valid YAML/],
    ['an alias that leads nowhere', 'data: *nowhere\n', /expected valid YAML/],
    ['two documents', '{}\n---\n{}\n', /expected valid YAML/],
    ['a list where the map should be', '- a\n', /^1:1 : expected a map, found a list/],
    ['a key of a later version', service('progress: {}'), /services\[0\]\.progress: expected .*unknown key 'progress'/],
    ['a merge that there is not', service('merge: on'), /services\[0\]\.merge: expected off, manual or auto, found 'on'/],
    [
      'a secret in plain text, without showing it',
      'receivers: { distribution: { token: hunter2 } }',
      /token: expected env:NAME or file:PATH .*never the secret itself$/,
    ],
    ['an empty secret', 'receivers: { distribution: { token: env:EMPTY } }', /EMPTY, which is empty/],
    [
      'a missing secret of a smoke test',
      service('smoke: { env: { P: env:NOT_SET } }'),
      /smoke\.env\.P: expected a secret in .*NOT_SET/,
    ],
    [
      'secrets that all may be missing, and are',
      'receivers: { github: { secrets: ["env:NOT_SET?"] } }',
      /secrets: expected at least one secret that is there/,
    ],
    [
      'a username without password',
      'registries: { ghcr.io: { username: a } }',
      /registries\.ghcr\.io: expected username and password/,
    ],
    ['a registry with a path', 'registries: { ghcr.io/team: {} }', /^1:15 registries\.ghcr\.io\/team: expected a registry host/],
    ['a registry without dot or port', 'registries: { registry: {} }', /is no registry host: write it with its port/],
    [
      'a token beside an App',
      'forge: { github: { token: env:A, app: { id: 1, privateKey: env:A } } }',
      /forge\.github: expected either token or app/,
    ],
    ['a forge without credentials', 'forge: { github: {} }', /forge\.github: expected either token or app/],
    ['a port beside an address', 'temporal: { address: "a:1", port: 2 }', /temporal\.port: expected no port beside address/],
    [
      'a key in plain text, without showing it',
      'temporal: { address: "a:1", key: hunter2 }',
      /temporal\.key: expected env:NAME or file:PATH \(with .*\), never the secret itself$/,
    ],
    [
      'a key for the embedded server',
      'temporal: { key: "file:key?" }',
      /temporal\.key: expected address beside key: .*makes one itself/,
    ],
    [
      'a time that is none',
      'temporal: { address: "a:1", sealedSince: today }',
      /temporal\.sealedSince: expected a time such as 20/,
    ],
    ['TLS for the embedded server', 'temporal: { tls: true }', /temporal\.tls: expected address beside tls/],
    [
      'a namespace for the embedded server',
      'temporal: { namespace: ships }',
      /temporal\.namespace: expected address beside namespace 'ships': the embedded server has only the namespace default/,
    ],
    ['a port that is none', 'temporal: { port: 70000 }', /temporal\.port: expected a port from 1 to 65535, found 70000/],
    [
      'half a client certificate',
      'temporal: { address: "a:1", tls: { certificate: c } }',
      /temporal\.tls: expected certificate and key/,
    ],
    ['an address without port', 'listen: { operators: localhost }', /listen\.operators: expected an address as HOST:PORT/],
    ['a URL that is none', 'trivy: { server: trivy:4954 }', /trivy\.server: expected a URL that begins with http/],
    ['a public URL that is none', 'publicUrl: landfall.example.org', /publicUrl: expected a URL that begins with http/],
    ['an unknown log level', 'log: { level: loud }', /log\.level: expected trace, .* or silent, found 'loud'/],
    ['a service without image', 'services: [{ name: a }]', /^1:12 services\[0\]\.image: expected an image .*found nothing/],
    ['an empty list of tags', service('tags: []'), /services\[0\]\.tags: expected at least 1 in the list/],
    ['a range that is none', service('tags: { semver: one two }'), /services\[0\]\.tags: expected a range/],
    ['a pattern that is none', service('tags: { pattern: "(", order: newest }'), /services\[0\]\.tags/],
    [
      'a pattern without order',
      service('tags: { pattern: a }'),
      /tags\.order: expected alphabetical, numerical, newest or none, found nothing/,
    ],
    [
      'a change of tags apart',
      'services: [{ image: a/x, tags: { pattern: a, order: none }, change: { repository: ./d, file: f } }]',
      /services\[0\]\.tags: expected no change beside order: none/,
    ],
    ...['ghcr**', 'gh*.io/**'].map((image): [string, string, RegExp] => [
      `the pattern ${image}`,
      `services: [{ image: "${image}" }]`,
      /services\[0\]\.image: /,
    ]),
    ['a platform that is none', service('platforms: [amd64]'), /platforms\[0\]: expected a platform such as linux\/amd64/],
    [
      'an ignored finding without a reason',
      service('scan: { ignore: [{ id: CVE-1 }] }'),
      /scan\.ignore\[0\]\.reason: expected a reason/,
    ],
    [
      'a day that does not exist',
      service('scan: { ignore: [{ id: C, reason: r, until: 2026-02-30 }] }'),
      /until: expected a date such as/,
    ],
    ['a switch that is neither off nor a map', service('smoke: on'), /services\[0\]\.smoke: expected off or a map .*found 'on'/],
    [
      'two probes',
      service('smoke: { tcp: { port: 1 }, exec: [a] }'),
      /smoke: expected only one of http, tcp and exec, found tcp and exec/,
    ],
    [
      'a port of a container without a network',
      service('smoke: { network: none, tcp: { port: 80 } }'),
      /smoke\.network: expected internal or full beside http or tcp, found none/,
    ],
    [
      'a limit that pods do not have',
      service('smoke: { kubernetes: {}, pids: 5 }'),
      /smoke\.pids: expected no pids beside kubernetes: .*podPidsLimit/,
    ],
    [
      'no network in a pod',
      service('smoke: { kubernetes: {}, network: none }'),
      /smoke\.network: expected internal or full beside kubernetes, found none/,
    ],
    [
      'root as the user of a pod',
      service('smoke: { kubernetes: { user: 0 } }'),
      /smoke\.kubernetes\.user: expected the number of a user/,
    ],
    ['a network that is none of these', service('smoke: { network: host }'), /smoke\.network: /],
    ['a size that is none', service('verify: { maxSize: 10 }'), /verify\.maxSize: expected a size such as 512k or 20m/],
    ['a probe without port', service('smoke: { http: {} }'), /smoke\.http\.port: expected a port/],
    [
      'a stayUp longer than the timeout',
      service('smoke: { timeout: 5s, stayUp: 6s }'),
      /smoke\.stayUp: expected stayUp to be no longer/,
    ],
    [
      'a run that is to stay up',
      service('smoke: { run: [spec], stayUp: 5s, http: { port: 80 } }'),
      /smoke\.run: expected no http, tcp, exec, stayUp or command beside run, found http and stayUp/,
    ],
    [
      'what a run is to end with, and no run',
      service('smoke: { expect: json }'),
      /smoke\.expect: expected run beside expect, found none/,
    ],
    [
      'another end of a run',
      service('smoke: { run: [], expect: yaml }'),
      /smoke\.expect: expected exit, json or a map such as .*found 'yaml'/,
    ],
    [
      'a member that is a list',
      service('smoke: { run: [], expect: { json: { type: [a] } } }'),
      /smoke\.expect\.json\.type: expected text, a number, true or false, found a list/,
    ],
    ['less memory than Docker takes', service('smoke: { memory: 5m }'), /smoke\.memory: expected a size .*at least 6m/],
    [
      'a capability in lower case',
      service('smoke: { capabilities: [net_raw] }'),
      /capabilities\[0\]: expected a Linux capability/,
    ],
    [
      'a change without repository and file',
      service('change: {}'),
      /change\.repository: expected the deployment/,
      /change\.file: expected the file/,
    ],
    [
      'a change of two targets',
      service('change: { repository: ./d, file: f, path: a, key: B }'),
      /change: expected only one of .* found path and key/,
    ],
    [
      'several files beside one',
      service('change: { repository: ./d, file: f, key: A, files: [{ file: g }] }'),
      /change: expected either files, or file and its place, found files and file and key/,
    ],
    [
      'two targets in one of several files',
      service('change: { repository: ./d, files: [{ file: f }, { file: g, images: true, marker: A }] }'),
      /change\.files\[1\]: expected only one of .* found marker and images/,
    ],
    [
      'one of several files without a name',
      service('change: { repository: ./d, files: [{ images: true }] }'),
      /change\.files\[0\]\.file: expected a file of the repository/,
    ],
    ['no files at all', service('change: { repository: ./d, files: [] }'), /change\.files: expected at least 1 in the list/],
    [
      'bare values beside images',
      service('change: { repository: ./d, file: f, images: true, value: bare }'),
      /change\.value: expected reference beside images/,
    ],
    ['images that are not meant', service('change: { repository: ./d, file: f, images: no }'), /change\.images: expected true/],
    ['no path at all', service('change: { repository: ./d, file: f, path: [] }'), /change\.path: expected/],
    [
      'a file outside of the repository',
      service('change: { repository: ./d, file: a/../../b }'),
      /change\.file: expected a file of the repository/,
    ],
    ...['./a', 'a/../b', 'a/./b', 'a//b', 'a/', '..', '/a'].map(
      (file) =>
        [
          `${file} as a file, which the forges would not find`,
          service(`change: { repository: ./d, file: ${file} }`),
          /change\.file: expected a file of the repository, from its root and without \. or \.\./,
        ] as const,
    ),
    ...['https://me:pw@x/y', 'https://hunter2@x/y', 'HTTP://hunter2:@x/y', 'ssh://git:pw@x/y'].map(
      (url) =>
        [
          `credentials in a URL: ${url}`,
          service(`change: { repository: "${url}", file: f }`),
          /change\.repository: expected a URL without user, password or token/,
        ] as const,
    ),
    [
      'a GitHub repository without forge.github',
      service('change: { repository: a/b, file: f }'),
      /change\.repository: expected forge\.github with token or app/,
    ],
    [
      'a repository of an Enterprise Managed User without forge.github',
      service('change: { repository: short_name/b, file: f }'),
      /change\.repository: expected forge\.github with token or app/,
    ],
    [
      'a dispatch without forge.github',
      service('dispatch: { repository: a/b, event: e }'),
      /dispatch\.repository: expected forge\.github/,
    ],
    ['a dispatch without event', service('dispatch: { repository: a/b }'), /dispatch\.event: expected an event type/],
    [
      'a stage named twice',
      service('stages: [{ name: a }, { name: a }]'),
      /stages\[1\]\.name: expected a name that no other stage/,
    ],
    ['no stages at all', service('stages: []'), /stages: expected at least 1 in the list/],
    ['a name that workflow ids could not hold', service('name: "a:b"'), /services\[0\]\.name: expected a name of at most 99/],
    [
      'a pattern whose services would share a name',
      'services: [{ image: a/*, name: x }]',
      /services\[0\]\.name: expected a name with \*/,
    ],
    ['two services of one name', 'services: [{ image: a/x }, { image: b/x }]', /services\[1\]\.name: expected a name of its own/],
    ['a pattern given twice', 'services: [{ image: a/* }, { image: a/* }]', /services\[1\]\.image: expected each pattern once/],
    [
      'patterns that may give one name twice',
      'services: [{ image: a/* }, { image: b/* }]',
      /services\[1\]\.name: expected a name of its own \(with \*/,
    ],
    [
      'two services with one branch',
      'defaults: { change: { repository: ./d, file: f } }\nservices: [{ image: a/x-y, stages: [{ name: z }] }, { image: a/x, stages: [{ name: y-z }] }]',
      /services\[1\]\.name: expected a name that makes no branch twice, found landfall\/x-y-z/,
    ],
    [
      "a service with the branch of another one's rollback",
      'defaults: { change: { repository: ./d, file: f } }\nservices: [{ image: a/x, stages: [{ name: y }] }, { image: a/x-y, stages: [{ name: rollback }] }]',
      /services\[1\]\.name: .*found landfall\/x-y-rollback for two services/,
    ],
    [
      "a stage with the branch of another one's rollback",
      'services: [{ image: a/x, change: { repository: ./d, file: f }, stages: [{ name: y }, { name: y-rollback }] }]',
      /services\[0\]\.name: .*found landfall\/x-y-rollback for a stage and for the rollback of another/,
    ],
  ];

  for (const [claim, text, ...expected] of refused) {
    it(`refuses ${claim}`, () => {
      const found = problemsIn(text, { A: 'a', EMPTY: '' });
      for (const pattern of expected)
        assert.ok(
          found.some((line) => pattern.test(line)),
          `${pattern} in:\n${found.join('\n')}`,
        );
      assert.ok(
        found.every((line) => !line.includes('hunter2') && !line.includes('pw@')),
        'a secret is shown',
      );
      assert.ok(
        found.every((line) => !line.includes('\n')),
        'a problem is one line',
      );
    });
  }

  it('points at the nearest thing that is there when something is missing', () => {
    const text = 'services:\n  - image: a/x\n  - image: a/y\n    change:\n      file: f\n';
    assert.deepEqual(problemsIn(text), [
      '4:5 services[1].change.repository: expected the deployment repository, found nothing here and in defaults.change',
    ]);
  });

  it('names the file where there is none', () => {
    withFile('', (_file, folder) => {
      const missing = join(folder, 'missing.yaml');
      const loaded = loadConfiguration(missing, {}, product);
      assert.ok('problems' in loaded);
      assert.match(formatProblem(loaded.problems[0] ?? assert.fail()), /missing\.yaml:1: expected a readable file, found ENOENT/);
    });
  });

  it('checks secrets in files, relative to the configuration', () => {
    withFile('receivers: { distribution: { token: file:token.txt } }', (file, folder) => {
      assert.ok('problems' in loadConfiguration(file, {}, product));
      writeFileSync(join(folder, 'token.txt'), 's3cret\n');
      assert.ok('configuration' in loadConfiguration(file, {}, product));
    });
  });

  it('asks for no secret where the caller needs none', () => {
    const text = 'receivers: { distribution: { token: env:NOT_SET }, github: { secrets: ["env:NOT_SET?"] } }';
    assert.deepEqual(receiversOf(load(text, {}, { secretsFor: [] })).distribution?.token, ['env:NOT_SET']);
  });

  it('asks each part of Landfall only for the secrets that it uses', () => {
    const text = `
receivers: { distribution: { token: env:HOOK } }
registries: { ghcr.io: { username: env:GHCR, password: env:GHCR } }
forge: { github: { token: env:GITHUB } }
temporal: { address: "a:1", apiKey: env:TEMPORAL }
operators: [{ name: ann, token: env:ANN, roles: [operate] }]
notify: [{ discord: env:DISCORD }]
services:
  - image: ghcr.io/team/app
    smoke: { env: { P: env:TEST } }
    integration: { compose: c.yml, test: { image: t }, env: { P: env:INTEGRATION } }
    stages:
      - { name: here, deploy: { docker: { container: a } }, watch: { http: { url: "http://a", headers: { A: env:HOST } } } }
      - name: elsewhere
        watch: { http: { url: "http://a", headers: { A: env:MAIN }, version: { header: V, equals: tag } } }
`;
    const all = (...names: string[]) => Object.fromEntries(names.map((name) => [name, 'x']));
    load(text, all('HOOK', 'TEMPORAL'), { secretsFor: ['api'] });
    load(text, all('GHCR', 'GITHUB', 'TEST', 'TEMPORAL', 'ANN', 'DISCORD', 'INTEGRATION', 'MAIN'), { secretsFor: ['worker'] });
    load(text, all('GHCR', 'TEMPORAL', 'HOST'), { secretsFor: ['deploy'] });
    const watched = text.replace(
      /services:/,
      'services:\n  - { image: a/watched, deploy: { docker: { container: w } }, watch: { http: { url: "http://w" }, deployment: { repository: a/w } } }',
    );
    assert.match(
      problemsIn(watched, all('GHCR', 'TEMPORAL', 'HOST'), { secretsFor: ['deploy'] }).join(),
      /forge\.github\.token: .*the environment variable GITHUB, which is not set/,
    );
    const missing = (secretsFor: readonly Role[]) =>
      problemsIn(text, {}, { secretsFor }).map((line) => /the environment variable (\w+)/.exec(line)?.[1]);
    assert.deepEqual(missing(['api']), ['HOOK', 'TEMPORAL']);
    assert.deepEqual(missing(['worker']), [
      'GHCR',
      'GHCR',
      'GITHUB',
      'TEMPORAL',
      'ANN',
      'DISCORD',
      'TEST',
      'INTEGRATION',
      'MAIN',
    ]);
    assert.deepEqual(missing(['deploy']), ['GHCR', 'GHCR', 'TEMPORAL', 'HOST']);
  });

  for (const repository of ['ssh://git@git.example.org/a.git', 'git@git.example.org:a.git', 'https://git.example.org/@a/b']) {
    it(`takes ${repository}: no secret is in it`, () => {
      const [stage] = load(service(`change: { repository: "${repository}", file: f }`)).services[0]?.stages ?? [];
      assert.equal(stage?.change?.repository, repository);
    });
  }

  it('refuses a namespace in the environment without the cluster that has it', () => {
    const [problem, ...others] = problemsIn('services: []', { TEMPORAL_NAMESPACE: 'ships' });
    assert.match(problem ?? '', /expected TEMPORAL_ADDRESS beside TEMPORAL_NAMESPACE 'ships'/);
    assert.deepEqual(others, []);
    load('temporal: { namespace: default }', { TEMPORAL_NAMESPACE: 'default' });
  });
});

function service(line: string): string {
  return `services:\n  - image: ghcr.io/team/app\n    ${line}\n`;
}
