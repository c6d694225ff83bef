import assert from 'node:assert/strict';
import { type PlannedStarts, planStarts } from '../../src/api/webhooks/plan-starts.ts';
import { githubSource } from '../../src/sources/github/index.ts';
import { forgeEvents } from '../api/support/forge-events.ts';
import { exactly, findersOf, githubSecret, planOf, startIngress } from '../api/support/ingress.ts';
import { contextOf, only, type ParsedPushes, parseWith, receivedAt } from '../api/support/receivers.ts';
import { githubSignature } from '../api/support/vectors.ts';

const deliveryId = '72d3162e-cc78-11e3-81ab-4c9367dc0958';
const headers = { 'x-github-event': 'workflow_run', 'x-github-delivery': deliveryId };
const sha = '68d2fd4969f35b650b5863da9220a2561ced6f7b';

function completed(run: object = {}, more: object = {}): object {
  return {
    action: 'completed',
    workflow: { name: 'Build', path: '.github/workflows/build.yml' },
    workflow_run: {
      id: 289782451,
      name: 'Build',
      event: 'push',
      conclusion: 'success',
      head_branch: 'main',
      head_sha: sha,
      actor: { login: 'ann' },
      head_repository: { full_name: 'Team/App' },
      ...run,
    },
    repository: { full_name: 'Team/App' },
    ...more,
  };
}

/** By the configuration, as a user writes it. */
function parse(body: unknown, workflows: unknown[] | 'none' = ['Build']): ParsedPushes {
  const schema = githubSource.settings(() => undefined);
  const github = schema.parse({ secrets: 'env:SECRET', ...(workflows !== 'none' && { workflows }) });
  const [receiver] = githubSource.open({ github }, contextOf({ SECRET: 'secret' }));
  assert.ok(receiver !== undefined);
  return parseWith(receiver, body, { headers });
}

const imagesOf = ({ pushes }: ParsedPushes) => pushes.map(({ repository }) => repository as string);

describe('a workflow_run at the GitHub receiver', () => {
  it('says that something was pushed to the image of its repository, and not which tag', () => {
    assert.deepEqual(parse(completed()), {
      event: 'workflow_run',
      action: 'completed',
      deliveryId,
      pushes: [
        {
          source: 'github',
          deliveryId,
          receivedAt,
          repository: 'ghcr.io/team/app',
          commit: sha,
          buildId: '289782451',
          actor: 'ann',
          sourceRepository: 'Team/App',
          proven: { by: 'forge', fields: ['actor', 'commit', 'sourceRepository'], actorOf: 'github' },
        },
      ],
    });
  });

  it('makes the ingress look up every followed tag of the image, and nothing of other images', async () => {
    const planned: PlannedStarts[] = [];
    const plans = [
      planOf('app', 'ghcr.io/team/app', exactly('v1', 'latest')),
      planOf('other', 'ghcr.io/team/other', exactly('latest')),
    ];
    const ingress = await startIngress({
      receivers: { github: { secrets: ['env:GITHUB_SECRET'], workflows: [{ name: 'Build' }] } },
      acceptPushes: () => async (received) => {
        planned.push(planStarts(received, findersOf(plans)));
        return { rollouts: [], resolving: [{ id: 'resolve:app', service: 'app', image: 'ghcr.io/team/app' }] };
      },
    });
    try {
      const raw = JSON.stringify(completed());
      const proof = {
        'Content-Type': 'application/json',
        'X-GitHub-Event': 'workflow_run',
        ...githubSignature(githubSecret, raw),
      };
      const answer = await ingress.post('/webhook/image-published', raw, proof);
      assert.equal(answer.status, 202);
      assert.deepEqual(planned[0]?.rollouts, []);
      assert.deepEqual(
        planned[0]?.lookUps.map(({ plan }) => plan.service),
        ['app'],
      );
    } finally {
      await ingress.listeners.stop();
    }
  });

  it('is read from what GitHub sends', () => {
    const events = forgeEvents(['workflow_run'], 'main').map(({ body }) => parse(body, ['test', 'syntax.yml']));
    assert.deepEqual(events.map(imagesOf), [[], ['ghcr.io/octo-org/octo-repo'], ['ghcr.io/octo-org/octo-repo'], [], []]);
  });

  it('counts only where the configuration names its workflow, by name or file, and its repository', () => {
    const pushed = (workflows: unknown[] | 'none', body = completed()) => imagesOf(parse(body, workflows));
    assert.deepEqual(pushed(['build.yml']), ['ghcr.io/team/app']);
    assert.deepEqual(pushed([{ name: 'Build', repository: 'team/APP', image: 'quay.io/team/other' }]), ['quay.io/team/other']);
    assert.deepEqual(pushed(['Build', { name: 'Build', image: 'nginx' }, 'build.yml']), [
      'ghcr.io/team/app',
      'docker.io/library/nginx',
    ]);
    assert.deepEqual(pushed([{ name: 'Build', repository: 'team/other' }, 'Test', 'build']), []);
    assert.deepEqual(pushed('none'), []);
    // A title that a run gives itself (run-name) is not its workflow's name.
    assert.deepEqual(pushed(['Release'], completed({ name: 'Release' })), []);
    assert.deepEqual(pushed(['Build'], completed({}, { workflow: null })), ['ghcr.io/team/app']);
  });

  it('is ignored unless it succeeded, for the repository itself', () => {
    const reasons: readonly (readonly [object, RegExp])[] = [
      [completed({}, { action: 'requested' }), /action completed/],
      [completed({}, { action: null }), /action completed/],
      [completed({ conclusion: 'failure' }), /conclusion success/],
      [completed({ conclusion: null }), /conclusion success/],
      [completed({ event: 'pull_request' }), /pull request/],
      [completed({ event: 'pull_request_target' }), /pull request/],
      [completed({ event: 'merge_group' }), /pull request/],
      [completed({ head_repository: { full_name: 'eve/App' } }), /fork/],
      [completed({ head_repository: null }), /fork/],
      [completed({}, { workflow: { name: 'Test' } }), /receivers\.github\.workflows/],
    ];
    for (const [body, reason] of reasons) {
      const { pushes, ignored } = parse(body);
      assert.deepEqual(pushes, []);
      assert.match(ignored ?? '', reason);
    }
    const odd = completed({ head_repository: { full_name: 'Team/app-' } }, { repository: { full_name: 'Team/app-' } });
    assert.match(parse(odd).ignored ?? '', /set image/);
  });

  it('is refused where it describes no run or no repository', () => {
    for (const body of [completed({}, { workflow_run: 7 }), completed({}, { repository: { full_name: 'x' } })]) {
      assert.throws(() => parse(body), { status: 400 });
    }
    const huge = { full_name: `team/${'a'.repeat(100_000)}` };
    assert.throws(() => parse(completed({ head_repository: huge }, { repository: huge })), { status: 400 });
  });

  it('keeps nothing that is not what it should be', () => {
    const [push] = parse(completed({ id: 'x\n', head_sha: 'main', actor: { login: 'ann\nx' } })).pushes;
    const { proven, ...rest } = push ?? {};
    assert.deepEqual(Object.keys(rest).sort(), ['deliveryId', 'receivedAt', 'repository', 'source', 'sourceRepository']);
    assert.deepEqual(proven, { by: 'forge', fields: ['sourceRepository'] });
  });

  it('has settings that say what is wrong with them', () => {
    const schema = githubSource.settings(() => undefined);
    const messages = (workflows: unknown) => JSON.stringify(schema.safeParse({ secrets: 'env:S', workflows }).error?.issues);
    assert.match(messages([7]), /expected the name of a workflow or a map/);
    assert.match(messages([{ name: 'Build', image: 'Team/App' }]), /expected an image such as/);
    assert.match(messages([{ name: 'Build', image: 'ghcr.io/a/b:latest' }]), /expected an image such as/);
    assert.match(messages([{ image: 'ghcr.io/a/b' }]), /name/);
    const github = { secrets: ['env:SECRET'], workflows: [] };
    assert.deepEqual(
      parseWith(only(githubSource.open({ github }, contextOf({ SECRET: 'x' }))), completed(), { headers }).pushes,
      [],
    );
  });
});
