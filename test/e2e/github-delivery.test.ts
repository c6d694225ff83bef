import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { WorkflowUpdateFailedError } from '@temporalio/client';
import type Docker from 'dockerode';
import { stateQuery } from '../../src/contracts/messages.ts';
import { hashOfToken } from '../../src/domain/decision-proof.ts';
import type { Digest } from '../../src/domain/image-reference.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { landfallHere } from '../cli/command.ts';
import { ensureDocker } from '../support/docker.ts';
import { createDocumentedSite, type DocumentedSite } from '../support/documented-site.ts';
import { documentedStart } from '../support/documented-start.ts';
import { token } from '../support/github/server.ts';
import { fadingImage, healthyImage } from '../support/production.ts';
import { eventually } from '../support/wait.ts';
import { startWorld, type World } from '../support/world.ts';

const deployment = 'team/deployment';
const branch = 'landfall/web-production';
const bobsToken = `landfall_${randomBytes(32).toString('base64url')}`;

/** Pull requests at GitHub, its webhooks, and people who do what people do. */
describe('a delivery by pull request', function () {
  this.timeout(180_000);
  let world: World;
  let docker: Docker;
  let version = 0;
  let site: DocumentedSite | undefined;

  before(async () => {
    docker = await ensureDocker();
    world = await startWorld({
      forge: 'github',
      production: docker,
      configuration: {
        operators: [
          { name: 'ann', github: 'ann-gh', roles: ['approve'] },
          { name: 'bob', token: 'env:BOB_TOKEN_HASH', roles: ['approve'] },
        ],
      },
      env: { BOB_TOKEN_HASH: await hashOfToken(bobsToken) },
      service: { scan: 'off', smoke: 'off', approval: { from: ['ann', 'bob'], required: 2, within: '10m', verified: true } },
    });
    world.github.deliverTo({ url: `${world.webhooks}/webhook/image-published`, secret: 'webhook-secret' });
    await world.start();
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(world.lastWords());
  });
  after(async () => {
    await site?.destroy();
    await world?.stop();
  });

  const push = async (image = healthyImage): Promise<Digest> => {
    version += 1;
    const digest = await world.push('latest', image(`${version}`));
    await world.deliver('latest', digest, { deliveryId: `delivery-${version}` });
    return digest;
  };
  const pull = () => {
    const { pulls } = world.github.repository(deployment);
    const found = pulls.findLast((each) => each.branch === branch);
    assert.ok(found, 'there is a pull request');
    return found;
  };
  /** What the step says while it waits or is blocked. */
  const saying = (digest: Digest, step: string, what: RegExp): Promise<RolloutState> =>
    eventually(
      `${step} to say ${what}`,
      async () => {
        const state = await world
          .rollout('latest', digest)
          .query(stateQuery)
          .catch(() => undefined);
        return state?.steps.some((each) => each.step === step && what.test(each.reason ?? '')) && state;
      },
      60_000,
    );
  /** By the command, as an operator does it. */
  const approveAsBob = async (digest: Digest): Promise<void> => {
    const env = { ...world.temporal.env, LANDFALL_TOKEN: bobsToken };
    const rollout = world.rollout('latest', digest).workflowId;
    const { exitCode, stderr } = await landfallHere(['approve', rollout, '--as', 'bob'], { cwd: world.folder, env });
    assert.equal(exitCode, 0, stderr);
  };
  const approveBoth = async (digest: Digest): Promise<void> => {
    await saying(digest, 'approve', /waits for 2/);
    await world.github.person(deployment, 'ann-gh').review(pull().number, 'APPROVE');
    await approveAsBob(digest);
  };
  const file = (): Promise<string> => world.github.repository(deployment).git.git(['show', 'main:docker-compose.yml']);

  let delivered: Digest;

  it('waits for a review of its head and for the required check, and merges within seconds of the webhook', async () => {
    world.github.repository(deployment).protections.set('main', { contexts: ['build'], approvals: 0 });
    delivered = await push();
    await saying(delivered, 'approve', /waits for 2 of ann, bob/);
    const { number, head } = pull();
    const stranger = world.github.person(deployment, 'mallory');
    await stranger.review(number, 'APPROVE');
    await saying(delivered, 'approve', /review of mallory does not count/);
    await world.github.person(deployment, 'ann-gh').review(number, 'APPROVE');
    await saying(delivered, 'approve', /waits for 1 of bob .*approved by ann/);
    const unproven = world.rollout('latest', delivered).executeUpdate('approve', { args: [{ by: 'bob', digest: delivered }] });
    await assert.rejects(unproven, (error: unknown) => {
      assert.match(String(error instanceof WorkflowUpdateFailedError && error.cause?.message), /takes verified approvals only/);
      return true;
    });
    await approveAsBob(delivered);
    await saying(delivered, 'merge', /waits for build/);
    world.github.reportCheckRun(deployment, { sha: head, name: 'build', status: 'completed', conclusion: 'success' });
    const state = await world.until('latest', delivered, 'delivered');
    assert.deepEqual(
      state.approvals?.production?.map(({ by, way, verified }) => `${by} ${way} ${verified}`),
      ['ann review true', 'bob decision true'],
    );
    assert.ok(await world.production.runs(delivered));
    assert.equal(pull().merged?.by, 'landfall-bot');
    assert.equal(await world.github.repository(deployment).git.branchHead(branch), undefined, 'the branch is deleted');
    world.github.repository(deployment).protections.delete('main');
  });

  it('is blocked by a failing check, which it names, and by a commit that somebody pushed over ours', async () => {
    world.github.repository(deployment).protections.set('main', { contexts: ['build'], approvals: 0 });
    const digest = await push();
    await approveBoth(digest);
    await saying(digest, 'merge', /waits for build/);
    world.github.reportCheckRun(deployment, { sha: pull().head, name: 'build', status: 'completed', conclusion: 'failure' });
    const failed = await world.until('latest', digest, 'blocked');
    assert.match(failed.reason ?? '', /build/);
    world.github.repository(deployment).protections.delete('main');
    const ours = pull().head;
    await world.github.pushCommit(deployment, { branch, files: { 'notes.txt': 'mine' }, message: 'Take over' });
    const retry = () => world.rollout('latest', digest).executeUpdate('retry', { args: [{ by: 'ann', step: 'merge' }] });
    await retry();
    // What the person did is never merged by us, however often it is tried.
    await saying(digest, 'merge', /notes\.txt/);
    await world.github.person(deployment, 'grace').forcePush(branch, ours);
    world.github.reportCheckRun(deployment, { sha: ours, name: 'build', status: 'completed', conclusion: 'success' });
    await retry();
    await world.until('latest', digest, 'delivered');
    const { git } = world.github.repository(deployment);
    await assert.rejects(git.git(['show', 'main:notes.txt']));
    assert.ok((await file()).includes(digest));
    delivered = digest;
  });

  it('goes on when a person merges, once it is approved all the same', async () => {
    const digest = await push();
    await saying(digest, 'approve', /waits for 2/);
    await world.github.person(deployment, 'grace').merge(pull().number);
    assert.equal(await world.production.runs(digest), false);
    await approveAsBob(digest);
    await world.github.person(deployment, 'ann-gh').review(pull().number, 'APPROVE', pull().head);
    const state = await world.until('latest', digest, 'delivered');
    assert.match(state.steps.find(({ step }) => step === 'merge')?.reason ?? '', /merged by grace/);
    assert.ok(await world.production.runs(digest));
    delivered = digest;
  });

  it('is blocked by a branch that somebody rewound, and proposes the image again on a retry', async () => {
    world.github.repository(deployment).protections.set('main', { contexts: ['build'], approvals: 0 });
    const digest = await push();
    await approveBoth(digest);
    await saying(digest, 'merge', /waits for build/);
    const { git } = world.github.repository(deployment);
    const theirs = await world.github.pushCommit(deployment, { branch: 'theirs', files: { 'notes.txt': 'again' } });
    await world.github.person(deployment, 'grace').forcePush(branch, theirs);
    const blocked = await world.until('latest', digest, 'blocked');
    assert.match(blocked.reason ?? '', /somebody pushed to the branch/);
    world.github.repository(deployment).protections.delete('main');
    await world.github.person(deployment, 'grace').forcePush(branch, undefined);
    await world.rollout('latest', digest).executeUpdate('retry', { args: [{ by: 'ann', step: 'merge' }] });
    await world.until('latest', digest, 'delivered');
    assert.ok((await git.git(['show', 'main:docker-compose.yml'])).includes(digest));
    delivered = digest;
  });

  it('does not revert what a person committed after it', async () => {
    const digest = await push(fadingImage);
    await approveBoth(digest);
    await eventually('the image to run', () => world.production.runs(digest), 60_000);
    const changed = (await file()).replace('restart: unless-stopped', 'restart: always # changed by a person');
    await world.github.pushCommit(deployment, {
      branch: 'main',
      files: { 'docker-compose.yml': changed },
      message: 'Restart always',
    });
    const state = await world.until('latest', digest, 'rolled-back');
    assert.match(state.reason ?? '', /is back/);
    const now = await file();
    assert.match(now, /changed by a person/);
    assert.ok(now.includes(delivered) && !now.includes(digest));
    assert.ok(await world.production.runs(delivered));
  });

  it('leaves the repository alone, and says whose change it is, where somebody changed the image line since', async () => {
    const digest = await push(fadingImage);
    await approveBoth(digest);
    // What a person committed above would come along, and waits for a yes.
    await saying(digest, 'merge', /restart.*Restart always/);
    const meant = { by: 'ann', step: 'merge', reason: 'it is meant' };
    await world.rollout('latest', digest).executeUpdate('skip', { args: [meant] });
    await eventually('the image to run', () => world.production.runs(digest), 60_000);
    const changed = (await file()).replace(/image: .*web:latest@\S+/, `image: ${world.host}/team/web:mended`);
    await world.github.pushCommit(deployment, {
      branch: 'main',
      files: { 'docker-compose.yml': changed },
      message: 'Use the mended one',
    });
    const state = await world.until('latest', digest, 'blocked');
    assert.match(state.reason ?? '', /Use the mended one/);
    assert.equal(state.steps.find(({ status }) => status === 'blocked')?.failure, 'BaseMovedOn');
    assert.ok(await world.production.runs(delivered), 'the running system is back all the same');
    await world
      .rollout('latest', digest)
      .executeUpdate('skip', { args: [{ by: 'ann', step: 'rollback', reason: 'it is mended' }] });
    await world.until('latest', digest, 'rolled-back');
    assert.match(await file(), /web:mended/);
  });

  it('ends rejected when a person closes the pull request, and does not open it again', async () => {
    const digest = await push();
    await saying(digest, 'approve', /waits for 2/);
    await world.github.person(deployment, 'grace').close(pull().number);
    const state = await world.until('latest', digest, 'rejected');
    assert.match(state.reason ?? '', /closed by grace/);
    // It tidies up before it is over, and a delivery until then is a delivery to it.
    await world.rollout('latest', digest).result();
    assert.equal(await world.github.repository(deployment).git.branchHead(branch), undefined, 'the branch is deleted');
    const before = world.github.repository(deployment).pulls.length;
    await world.deliver('latest', digest, { deliveryId: 'once more' });
    await world.until('latest', digest, 'unchanged');
    assert.equal(world.github.repository(deployment).pulls.length, before);
  });

  // The last one: landfall.yaml and the token's rights are the document's from here on.
  it('begins with nothing and ends automatic by the commands of docs/start-github-compose.md, with no more rights than it says', async () => {
    const service = 'match-list-processor';
    const { lines, commands } = documentedStart();
    const [init, check, start, doctor, status, show, trigger, again, hold, release, back, ...more] = commands;
    assert.deepEqual(
      [init?.split(' ')[0], start, doctor, again, ...more],
      ['init', 'start', 'doctor', status],
      'init and doctor are in test/cli, the start is that of this world',
    );
    site = await createDocumentedSite(world, docker);
    const run = async (line = '', exitCode = 0): Promise<string> => {
      const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, word]) => quoted ?? word ?? '');
      const env = { ...world.temporal.env, GITHUB_TOKEN: token, WEBHOOK_SECRET: 'webhook-secret', REGISTRY_HOOK_TOKEN: 'x' };
      const paths = { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '' };
      const ran = await landfallHere(words, { cwd: world.folder, env: { ...env, ...paths } });
      assert.equal(ran.exitCode, exitCode, `${line}: ${ran.stdout}${ran.stderr}`);
      return ran.stdout;
    };
    assert.match(await run(check), /: 6 services, fine\n✔/);
    const ofStart = () => world.github.repository('pitchconnect/deployment').pulls;
    await eventually('six pull requests', async () => ofStart().length === 6, 90_000);
    await eventually('six questions', async () => /^waits for a person \(6\)/m.test(await run(status)), 60_000);
    const first = ofStart().find((each) => each.branch === `landfall/${service}-production`);
    await world.github.person('pitchconnect/deployment', 'grace').merge(first?.number ?? 0);
    assert.match(await run(show), /merge passed .* merged by grace$[\s\S]*● delivered: production$/m);

    await site.shell(lines.find((line) => line.startsWith('sed ')) ?? 'false');
    await eventually(
      'the file to be read',
      async () => world.landfall().output().split('was read again and serves').length === 3,
    );
    const second = await site.push(service, '2');
    await world.deliver('latest', second, { deliveryId: 'second', path: `pitchconnect/${service}` });
    assert.match(await run(show), /● delivered: production$/m);
    assert.ok(await site.runs(service, second));

    await site.push(service, '3', fadingImage);
    assert.match(await run(trigger, 1), /watch stopped [\s\S]*rollback passed [\s\S]*● rolled-back: production/);
    assert.ok(await site.runs(service, second));
    for (const line of [hold, release]) await run(line);
    // Of the same form as what test/cli/service.test.ts runs.
    assert.match(back ?? '', /^rollback match-list-processor production --reason "\w+"$/);
  }).timeout(300_000);
});
