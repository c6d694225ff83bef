import assert from 'node:assert/strict';
import { ApplicationFailure } from '@temporalio/activity';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createDispatch } from '../../src/activities/dispatch.ts';
import type { DispatchStageInput } from '../../src/contracts/activities/delivery.ts';
import type { ImagePush } from '../../src/domain/image-push.ts';
import type { Repository } from '../../src/domain/image-reference.ts';
import type { DispatchOutcome, VerifiedImage } from '../../src/domain/outcomes.ts';
import type { DispatchPlan } from '../../src/domain/plan.ts';
import { createGitHubClients } from '../../src/platform/github/client.ts';
import { type GitHub, startGitHub, token } from '../support/github/server.ts';
import { imageOf, planOf, pushOf, stageOf, verifiedOf } from '../support/plans.ts';

const repository = 'team/deployment';

describe('dispatch', function () {
  // The emulator reads GitHub's description once (13 MB).
  this.timeout(60_000);
  let github: GitHub;

  beforeEach(async () => {
    github = await startGitHub();
    await github.createRepository(repository);
  });

  afterEach(async () => {
    await github.stop();
  });

  interface Wish {
    readonly image?: Partial<VerifiedImage>;
    readonly push?: Partial<ImagePush>;
    readonly dispatch?: DispatchPlan;
  }

  function inputOf({
    image: labels = {},
    push = {},
    dispatch = { repository, event: 'image_published' },
  }: Wish = {}): DispatchStageInput {
    const stage = stageOf('production', { dispatch });
    const plan = planOf({ stages: [stage] });
    const image = { ...verifiedOf(imageOf(plan, 'A')), ...labels };
    return { plan, stage, image, push: { ...pushOf(image), ...push } };
  }

  async function dispatch(input: DispatchStageInput, credentials = token): Promise<DispatchOutcome> {
    const { clientFor } = createGitHubClients({ token: credentials }, { url: github.url });
    const info = { workflowExecution: { workflowId: 'rollout:web:latest:aaaaaaaaaaaa', runId: 'run' } };
    const environment = new MockActivityEnvironment(info, { logger: new DefaultLogger('ERROR') });
    return environment.run(createDispatch({ clientFor }).dispatch, input);
  }

  function payload(): Record<string, unknown> {
    const [sent, ...more] = github.repository(repository).dispatches;
    assert.deepEqual([sent?.eventType, more], ['image_published', []]);
    return { ...sent?.payload };
  }

  it('tells the repository which image it is, where it comes from, and which rollout it belongs to', async () => {
    const input = inputOf({ push: { commit: 'c0ffee', sourceRepository: 'team/web' }, image: { revision: 'other' } });
    const from = Date.now();
    assert.deepEqual(await dispatch(input), { kind: 'dispatched', repository, event: 'image_published' });
    const { timestamp, ...others } = payload();
    assert.deepEqual(others, {
      service: input.plan.service,
      image: input.image.repository,
      tag: input.image.tag,
      digest: input.image.digest,
      sha: 'c0ffee',
      commit: 'c0ffee',
      repository: 'team/web',
      rollout_id: 'rollout:web:latest:aaaaaaaaaaaa',
    });
    assert.ok(
      typeof timestamp === 'string' && Date.parse(timestamp) >= from && Date.parse(timestamp) <= Date.now(),
      `${timestamp}`,
    );
  });

  it('takes commit and repository from the labels of the image where the push does not name them', async () => {
    await dispatch(inputOf({ image: { revision: 'beef', source: 'https://github.com/team/web' } }));
    const { sha, commit, repository: source } = payload();
    assert.deepEqual([sha, commit, source], ['beef', 'beef', 'https://github.com/team/web']);
  });

  it('leaves empty what nobody knows', async () => {
    await dispatch(inputOf());
    const { sha, commit, repository: source } = payload();
    assert.deepEqual([sha, commit, source], ['', '', '']);
  });

  describe('in the shape of quay-github-actions-dispatch', () => {
    const quay: DispatchPlan = { event: 'QUAY_BUILD_SUCCESS', payload: 'quay', per: 'push' };

    it('carries the first seven characters of the commit, to the repository that is named like the image', async () => {
      await github.createRepository('team/web');
      const wish = { dispatch: quay, push: { commit: '42d4a62c53350993ea41069e9f2cfdefb0df097d' } };
      assert.deepEqual(await dispatch(inputOf(wish)), { kind: 'dispatched', repository: 'team/web', event: quay.event });
      assert.deepEqual(github.repository('team/web').dispatches, [{ eventType: quay.event, payload: { text: '42d4a62' } }]);
    });

    it('takes the commit from the label of the image where the push names none', async () => {
      await dispatch(inputOf({ dispatch: { ...quay, repository }, image: { revision: 'beefbeefbeef' } }));
      assert.deepEqual(github.repository(repository).dispatches, [{ eventType: quay.event, payload: { text: 'beefbee' } }]);
    });

    for (const commit of [undefined, '', '      ', '42d4a6']) {
      it(`is refused for good with the commit ${JSON.stringify(commit)}`, async () => {
        const wish = { dispatch: { ...quay, repository }, ...(commit !== undefined && { push: { commit } }) };
        await assert.rejects(dispatch(inputOf(wish)), (error: unknown) => {
          assert.ok(error instanceof ApplicationFailure, String(error));
          assert.deepEqual([error.type, error.nonRetryable], ['NoCommit', true]);
          assert.match(error.message, /expected the commit of the build/);
          return true;
        });
        assert.deepEqual(github.requests, []);
      });
    }

    it('is refused for good where the name of the image is none of GitHub', async () => {
      const nested = 'quay.io/team/deep/web' as Repository;
      const wish = { dispatch: quay, image: { repository: nested }, push: { commit: '42d4a62c' } };
      await assert.rejects(dispatch(inputOf(wish)), /expected a repository at GitHub as owner\/name, found 'team\/deep\/web'/);
    });
  });

  it('carries the name of the image, tag, digest, commit and run where the shape is image-push, the tags as a JSON text', async () => {
    const push = { commit: 'c0ffee', sourceRepository: 'team/source', buildId: '4711' };
    const input = inputOf({ dispatch: { repository, event: 'image_published', payload: 'image-push' }, push });
    await dispatch(input);
    const { timestamp, ...others } = payload();
    assert.match(String(timestamp), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.deepEqual(others, {
      repository: 'team/web',
      tags: '["latest"]',
      digest: input.image.digest,
      commit: 'c0ffee',
      run_id: '4711',
      source_repository: 'team/source',
    });
  });

  it('is refused for good where there is no such repository, or the token may not write to it', async () => {
    github.addToken('reader', { login: 'reader', permissions: { contents: 'read' } });
    const elsewhere = inputOf({ dispatch: { repository: 'team/none', event: 'image_published' } });
    const isRefused = (expected: RegExp) => (error: unknown) => {
      assert.ok(error instanceof ApplicationFailure, String(error));
      assert.deepEqual([error.type, error.nonRetryable], ['ForgeRefused', true]);
      assert.match(error.message, expected);
      return true;
    };
    await assert.rejects(dispatch(elsewhere), isRefused(/cannot see team\/none/));
    await assert.rejects(dispatch(inputOf(), 'reader'), isRefused(/needs the permission contents=write/));
    assert.deepEqual(github.repository(repository).dispatches, []);
  });

  it('says until when GitHub wants it to wait', async () => {
    github.failNext({ rateLimit: 'secondary', seconds: 120 });
    const outcome = await dispatch(inputOf());
    assert.ok(outcome.kind === 'rate-limited', JSON.stringify(outcome));
    const seconds = (Date.parse(outcome.until) - Date.now()) / 1000;
    assert.ok(seconds > 110 && seconds <= 120, `${seconds} s`);
  });

  it('fails in a way that is tried again where GitHub is down', async () => {
    github.failNext({ status: 503 });
    await assert.rejects(
      dispatch(inputOf()),
      (error: unknown) => error instanceof Error && !(error instanceof ApplicationFailure),
    );
  });
});
