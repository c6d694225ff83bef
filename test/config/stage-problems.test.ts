import assert from 'node:assert/strict';
import { load, problemsIn } from './support.ts';

const env = { SECRET: 's' };
const head = `forge: { github: { token: env:SECRET } }
operators:
  - { name: ann, github: ann-gh, roles: [operate, approve] }
  - { name: bob, roles: [approve] }
  - { name: cleo, roles: [operate] }
services:
  - image: ghcr.io/team/app
`;

/** The problems of a service with these keys, without their place. */
function problems(...lines: readonly string[]): string[] {
  return problemsIn(head + lines.map((line) => `    ${line}\n`).join(''), env).map((line) =>
    line.replace(/^\S+ services\[0\]\.?/, ''),
  );
}

const change = 'change: { repository: team/deployment, file: f }';
const docker = 'deploy: { docker: { container: a } }';
const probe = 'http: { url: "http://a" }';

describe('the problems of a stage', () => {
  for (const [claim, lines, expected] of [
    // approval
    [
      'an approval by nobody',
      ['approval: {}'],
      /^approval\.from: expected the names of operators who may approve, found nothing/,
    ],
    [
      'an approval by a stranger',
      ['approval: { from: [eve] }'],
      /^approval\.from\[0\]: expected the name of one of the operators, found 'eve' \(there are ann, bob, cleo\)/,
    ],
    [
      'an approval by who may not',
      ['approval: { from: [cleo] }'],
      /^approval\.from\[0\]: expected an operator with the role approve, found 'cleo'/,
    ],
    [
      'an approval by one person twice',
      ['approval: { from: [ann, ann], required: 2 }'],
      /^approval\.from\[1\]: expected each name once, found 'ann' again/,
    ],
    [
      'more approvals than people',
      ['approval: { from: [ann], required: 2 }'],
      /^approval\.required: expected at most 1, .*found 2/,
    ],
    ['no approvals', ['approval: { from: [ann], required: 0 }'], /^approval\.required: expected at least 1, found 0/],
    [
      'a verified approval by who can prove nothing',
      [change, 'approval: { from: [ann, bob], verified: true }'],
      /^approval\.from\[1\]: expected an operator with token, oidc or github, because verified is true, found 'bob'/,
    ],
    [
      'a verified approval by who could only review, and there is no pull request',
      ['change: { repository: ./deployment, file: f }', 'approval: { from: [ann], verified: true }'],
      /^approval\.from\[0\]: expected an operator with token or oidc, .* no pull request to review, found 'ann'/,
    ],
    // windows
    [
      'a window of both kinds',
      ['windows: [{ deny: Sat, allow: Sun }]'],
      /^windows\[0\]: expected either deny or allow, found both/,
    ],
    ['a window of no kind', ['windows: [{ timezone: UTC }]'], /^windows\[0\]: expected either deny or allow, found none/],
    [
      'times that are none',
      ['windows: [{ deny: weekends }]'],
      /^windows\[0\]\.deny: expected times of the week such as .*found 'weekends'/,
    ],
    ['times that are a number', ['windows: [{ allow: 9 }]'], /^windows\[0\]\.allow: expected times of the week .* or a map/],
    [
      'a time zone that there is not',
      ['windows: [{ deny: Sat, timezone: Mars/Olympus }]'],
      /^windows\[0\]\.timezone: expected a time zone by its IANA name/,
    ],
    [
      'a recurrence without end',
      ['windows: [{ deny: { recurrence: "DTSTART:20260101T000000\\nRRULE:FREQ=DAILY" } }]'],
      /^windows\[0\]\.deny\.for: expected a duration/,
    ],
    [
      'a recurrence that is none',
      ['windows: [{ deny: { recurrence: "RRULE:FREQ=DAILY", for: 1h } }]'],
      /^windows\[0\]\.deny: expected one line DTSTART/,
    ],
    // merge
    ['a merge of nothing', ['merge: auto'], /^merge: expected a change beside merge: auto/],
    ['a merge of nothing by a person', ['merge: manual'], /^merge: expected a change beside merge: manual/],
    [
      'a method that there is not',
      [change, 'merge: auto', 'mergeMethod: octopus'],
      /^mergeMethod: expected squash, merge or rebase, found 'octopus'/,
    ],
    [
      'a deploy after a change that nobody merges',
      [change, docker],
      /^deploy: expected merge: auto or manual beside change and deploy/,
    ],
    [
      'a watch after a change that nobody merges',
      [change, `watch: { ${probe}, deployment: {} }`],
      /^watch: expected merge: auto or manual beside change and watch/,
    ],
    // deploy
    [
      'a deploy of no kind',
      ['deploy: { on: a }'],
      /^deploy: expected one of compose, docker, kubernetes, workflow, deployment, found none/,
    ],
    [
      'a deploy of two kinds',
      ['deploy: { compose: { directory: /a }, docker: { container: a } }'],
      /^deploy: expected one of .* found compose and docker/,
    ],
    [
      'a deploy to Kubernetes of two choices',
      ['deploy: { kubernetes: { label: app=a, image: tag } }'],
      /^deploy\.kubernetes: expected one of workloads, label and image, found label and image/,
    ],
    [
      'a deploy to Kubernetes of no workload',
      ['deploy: { kubernetes: { workloads: [pod/a] } }'],
      /^deploy\.kubernetes\.workloads\[0\]: expected a workload as deployment, statefulset, daemonset, cronjob\/NAME/,
    ],
    [
      'a canary of what replaces its pods one by one',
      ['deploy: { kubernetes: { workloads: [statefulset/a], canary: 1 } }'],
      /^deploy\.kubernetes\.canary: expected Deployments alone beside canary/,
    ],
    [
      'a probe of pods that nobody brings',
      [docker, 'watch: { kubernetes: true }'],
      /^watch\.kubernetes: expected a deploy by kubernetes beside it/,
    ],
    ['a deploy that is switched off by another word', ['deploy: off'], /^deploy: expected none or a map .*found 'off'/],
    [
      'a host that no queue can be named after',
      ['deploy: { on: "a b", docker: { container: a } }'],
      /^deploy\.on: expected the name of a host/,
    ],
    [
      'a compose deploy without folder',
      ['deploy: { compose: {} }'],
      /^deploy\.compose\.directory: expected an absolute path on the host, found nothing/,
    ],
    [
      'a folder relative to who knows what',
      ['deploy: { compose: { directory: srv } }'],
      /^deploy\.compose\.directory: expected an absolute path on the host, found 'srv'/,
    ],
    [
      'a compose file named twice',
      ['deploy: { compose: { directory: /a, file: a, files: [a] } }'],
      /^deploy\.compose: expected only one of file and files/,
    ],
    [
      'a command that is none',
      ['deploy: { compose: { directory: /a, before: [5] } }'],
      /^deploy\.compose\.before\[0\]: expected a command as a list of words or as a text, found 5/,
    ],
    [
      'commands that are no list',
      ['deploy: { compose: { directory: /a, before: migrate } }'],
      /^deploy\.compose\.before: expected a list/,
    ],
    [
      'containers that are not named',
      ['deploy: { docker: {} }'],
      /^deploy\.docker: expected one of container, containers and label, found none/,
    ],
    [
      'containers that are named twice',
      ['deploy: { docker: { container: a, label: b } }'],
      /^deploy\.docker: expected one of .* found container and label/,
    ],
    [
      'a canary of none',
      ['deploy: { docker: { container: a, canary: 0 } }'],
      /^deploy\.docker\.canary: expected at least 1, found 0/,
    ],
    [
      'a workflow without name',
      ['deploy: { workflow: { repository: a/b } }'],
      /^deploy\.workflow\.workflow: expected the file name or id/,
    ],
    [
      'a workflow of no repository',
      ['deploy: { workflow: { workflow: w } }'],
      /^deploy\.workflow\.repository: expected a GitHub repository as owner\/name, found nothing/,
    ],
    [
      'a workflow of a repository that is not at GitHub',
      ['change: { repository: ./d, file: f }', 'merge: auto', 'deploy: { workflow: { workflow: w } }'],
      /^deploy\.workflow\.repository: expected a GitHub repository/,
    ],
    [
      'a workflow on a host',
      ['deploy: { on: web-1, workflow: { repository: a/b, workflow: w } }'],
      /^deploy\.on: expected no host beside workflow/,
    ],
    [
      'a Deployment of no repository',
      ['deploy: { deployment: {} }'],
      /^deploy\.deployment\.repository: expected a GitHub repository/,
    ],
    // watch
    [
      'a watch of nothing',
      [docker, 'watch: { for: 1m }'],
      /^watch: expected at least one of http, tcp, docker, kubernetes, argocd, flux and command, found none/,
    ],
    [
      'a watch of another deploy without proof',
      [`watch: { ${probe} }`],
      /^watch: expected a proof of which image is healthy, because this stage has no deploy: version .*, deployment, docker with containers, argocd, or flux$/,
    ],
    ['a watch of no Application', ['watch: { argocd: {} }'], /^watch\.argocd\.application: expected the name of an Application/],
    ['a watch of Flux alone', ['watch: { flux: {} }'], /^watch\.flux: expected either kustomization or helmRelease, found none/],
    [
      'a watch of two objects of Flux',
      ['watch: { flux: { kustomization: a, helmRelease: b } }'],
      /^watch\.flux: expected either kustomization or helmRelease, found both/,
    ],
    ['a watch of containers that nobody names', ['watch: { docker: true }'], /^watch\.docker: expected docker with containers/],
    [
      'a watch of containers that a workflow deploys',
      ['deploy: { workflow: { repository: a/b, workflow: w } }', 'watch: { docker: {} }'],
      /^watch\.docker: expected docker with containers/,
    ],
    [
      'a compose service that Compose would take for an option',
      ['deploy: { compose: { directory: /srv, services: ["--remove-orphans"] } }'],
      /^deploy\.compose\.services\[0\]: expected the name of a compose service, found '--remove-orphans'/,
    ],
    [
      'a compose project that Compose refuses',
      ['deploy: { compose: { directory: /srv, project: Shop } }'],
      /^deploy\.compose\.project: expected a project name/,
    ],
    [
      'a container name that Docker refuses',
      ['deploy: { docker: { containers: [web, "-f"] } }'],
      /^deploy\.docker\.containers\[1\]: expected the name of a container, found '-f'/,
    ],
    ['a probe without URL', [docker, 'watch: { http: {} }'], /^watch\.http\.url: expected a URL/],
    [
      'the second probe without URL',
      [docker, `watch: { http: [{ url: "http://a" }, { status: 200 }] }`],
      /^watch\.http\[1\]\.url: expected a URL/,
    ],
    ['a URL that is none', [docker, 'watch: { http: { url: "http://a:99999" } }'], /^watch\.http\.url: expected a URL/],
    [
      'credentials in a URL',
      [docker, 'watch: { http: { url: "http://hunter2@a" } }'],
      /^watch\.http\.url: expected a URL without user, password or token/,
    ],
    [
      'a status that is none',
      [docker, 'watch: { http: { url: "http://a", status: [2000] } }'],
      /^watch\.http\.status.*: expected/,
    ],
    [
      'a pattern of another grammar',
      [docker, 'watch: { http: { url: "http://a", body: "(?=x)" } }'],
      /^watch\.http\.body: expected a regular expression of RE2/,
    ],
    [
      'a pattern of a header that is none',
      [docker, 'watch: { http: { url: "http://a", header: { name: X, pattern: "(" } } }'],
      /^watch\.http\.header\.pattern: expected a regular expression/,
    ],
    [
      'a header that is none',
      [docker, 'watch: { http: { url: "http://a", headers: { "a b": c } } }'],
      /^watch\.http\.headers\.a b: expected the name of a header/,
    ],
    [
      'a secret of a header that is not there',
      [docker, 'watch: { http: { url: "http://a", headers: { A: env:NOT_SET } } }'],
      /^watch\.http\.headers\.A: expected a secret in the environment variable NOT_SET/,
    ],
    [
      'a version from nowhere',
      [docker, 'watch: { http: { url: "http://a", version: { equals: tag } } }'],
      /^watch\.http\.version: expected either header or json, found none/,
    ],
    [
      'a version from two places',
      [docker, 'watch: { http: { url: "http://a", version: { header: A, json: /a, equals: tag } } }'],
      /^watch\.http\.version: expected either header or json, found both/,
    ],
    [
      'a version that equals nothing',
      [docker, 'watch: { http: { url: "http://a", version: { header: A } } }'],
      /^watch\.http\.version\.equals: expected tag, digest or revision/,
    ],
    [
      'a JSON path in place of a pointer',
      [docker, 'watch: { http: { url: "http://a", version: { json: a.b, equals: tag } } }'],
      /^watch\.http\.version\.json: expected a JSON pointer/,
    ],
    ['a port that is none', [docker, 'watch: { tcp: "a:99999" }'], /^watch\.tcp: expected a port from 1 to 65535/],
    ['an address without port', [docker, 'watch: { tcp: a }'], /^watch\.tcp: expected an address as HOST:PORT/],
    ['a map without port', [docker, 'watch: { tcp: { host: a } }'], /^watch\.tcp\.port: expected a port from 1 to 65535/],
    ['a switch that is none', [docker, 'watch: { docker: false }'], /^watch\.docker: expected true or a map/],
    ['a command without words', [docker, 'watch: { command: { timeout: 1s } }'], /^watch\.command\.command: expected a command/],
    ['commands of two kinds of text', [docker, 'watch: { command: [a, [b]] }'], /^watch\.command.*: expected/],
    [
      'less time than it has to be healthy',
      [docker, `watch: { ${probe}, for: 2m, within: 1m }`],
      /^watch\.within: expected within to be no shorter than for/,
    ],
    [
      'a Deployment of no repository to prove it',
      [`watch: { ${probe}, deployment: {} }`],
      /^watch\.deployment\.repository: expected a GitHub repository/,
    ],
    ['a rollback that there is not', ['rollback: sometimes'], /^rollback: expected auto, manual or off, found 'sometimes'/],
    // integration
    ['a test without file', ['integration: { test: { image: a } }'], /^integration\.compose: expected a compose file/],
    [
      'a check without test',
      ['integration: { compose: a }'],
      /^integration\.test: expected either image, or service and command, found none/,
    ],
    [
      'a test of two kinds',
      ['integration: { compose: a, test: { image: a, service: b, command: c } }'],
      /^integration\.test: expected either .* found both/,
    ],
    [
      'a test without command',
      ['integration: { compose: a, test: { service: b } }'],
      /^integration\.test\.command: expected the command/,
    ],
  ] as const) {
    it(`include ${claim}`, () => {
      const found = problems(...lines);
      assert.ok(found.length === 1 && expected.test(found[0] ?? ''), `${expected} in:\n${found.join('\n')}`);
      assert.ok(!found.join().includes('hunter2') && !found.join().includes('\n'));
    });
  }

  it('stand at the stage that they are of, or at the service that said it for all', () => {
    const text = `${head}    watch: { http: { url: "http://a" } }\n    stages:\n      - name: one\n        deploy: { docker: { container: a } }\n      - name: two\n        approval: { from: [eve] }\n`;
    assert.deepEqual(
      problemsIn(text, env).map((line) => line.split(': ')[0]),
      ['12:9 services[0].stages[1].watch', '13:28 services[0].stages[1].approval.from[0]'],
    );
  });

  it('include what needs GitHub, where there is no forge.github', () => {
    const found = problemsIn(
      'services:\n  - image: a/b\n    deploy: { workflow: { repository: a/b, workflow: w } }\n    watch: { tcp: "a:1", deployment: { repository: a/b } }\n',
    );
    assert.deepEqual(
      found.map((line) => line.replace(/ with token.*/, '')),
      [
        '3:39 services[0].deploy.workflow.repository: expected forge.github',
        '4:52 services[0].watch.deployment.repository: expected forge.github',
      ],
    );
  });

  it('say nothing of operators whose own section is wrong', () => {
    const text = 'operators: [{ name: ann, roles: [] }]\nservices: [{ image: a/b, approval: { from: [ann] } }]';
    assert.deepEqual(
      problemsIn(text).map((line) => line.split(': ')[0]),
      ['1:26 operators[0].roles'],
    );
  });

  it('are not there where merge: off is said beside change and deploy', () => {
    load(`${head}    ${change}\n    merge: off\n    ${docker}\n`, env);
  });
});
