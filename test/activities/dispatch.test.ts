import assert from 'node:assert/strict';
import { ApplicationFailure } from '@temporalio/activity';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createDispatch, type DispatchInput } from '../../src/activities/dispatch.ts';
import { createGitHubClients } from '../../src/adapters/github-client.ts';
import type { ImagePush } from '../../src/domain/image-push.ts';
import type { DispatchOutcome, VerifiedImage } from '../../src/domain/outcomes.ts';
import type { DispatchPlan } from '../../src/domain/plan.ts';
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
  }: Wish = {}): DispatchInput {
    const stage = stageOf('production', { dispatch });
    const plan = planOf({ stages: [stage] });
    const image = { ...verifiedOf(imageOf(plan, 'A')), ...labels };
    return { plan, stage, image, push: { ...pushOf(image), ...push } };
  }

  async function dispatch(input: DispatchInput, credentials = token): Promise<DispatchOutcome> {
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
