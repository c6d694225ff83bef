import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { CancelledFailure } from '@temporalio/activity';
import Docker from 'dockerode';
import type { Digest } from '../../src/domain/image-reference.ts';
import type { RunningImage, Unhealthy, VerifiedImage, Watched } from '../../src/domain/outcomes.ts';
import type { HttpProbePlan } from '../../src/domain/plan.ts';
import { createGitHubClients } from '../../src/platform/github/client.ts';
import { failureOf } from '../support/activity.ts';
import { ensureDocker, removeImagesOf } from '../support/docker.ts';
import { startDockerProxy } from '../support/docker-proxy.ts';
import { type GitHub, startGitHub, token } from '../support/github/server.ts';
import { type HttpServer, startHttpServer } from '../support/http-server.ts';
import { type ImageOptions, pushImage } from '../support/images.ts';
import { deployOf, digestOf } from '../support/plans.ts';
import { type Registry, startRegistry } from '../support/registry.ts';
import { imageToSmoke } from '../support/smoke.ts';
import { startTcpGate } from '../support/tcp-gate.ts';
import { eventually } from '../support/wait.ts';
import { type RunningWatch, startWatch, watchPlan } from '../support/watch.ts';

const dockerDeploy = deployOf('docker', { containers: { names: ['web'] }, timeoutMs: 60_000 });

describe('watch', function () {
  this.timeout(60_000);
  let docker: Docker;
  let registry: Registry;
  const made: string[] = [];
  const stops: (() => Promise<void>)[] = [];

  before(async () => {
    docker = await ensureDocker();
    registry = await startRegistry();
  });
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
    for (const id of made.splice(0)) await docker.getContainer(id).remove({ force: true, v: true });
  });
  after(async () => {
    await removeImagesOf(docker, registry.host);
    await registry.stop();
  });

  /** In the registry and in Docker. */
  async function image(tag: string, options: ImageOptions = {}): Promise<VerifiedImage> {
    const digest = await pushImage(registry, 'watched', tag, {
      busybox: true,
      cmd: ['sleep', '600'],
      env: { ONLY: tag },
      ...options,
    });
    const pulling = await docker.pull(`${registry.host}/watched@${digest}`);
    await new Promise((resolve) => docker.modem.followProgress(pulling, resolve));
    return imageToSmoke(`${registry.host}/watched`, digest);
  }

  async function run(of: VerifiedImage, options: Docker.ContainerCreateOptions = {}): Promise<RunningImage> {
    const reference = `${of.repository}@${of.digest}`;
    const name = options.name ?? `landfall-watch-${randomUUID()}`;
    const { HostConfig, ...others } = options;
    const container = await docker.createContainer({
      ...others,
      name,
      Image: reference,
      StopTimeout: 0,
      HostConfig: { NetworkMode: 'none', ...HostConfig },
    });
    made.push(container.id);
    await container.start();
    return { name, reference, digest: of.digest };
  }

  const watched = async ({ outcome }: RunningWatch): Promise<Watched> => {
    const found = await outcome;
    return found.kind === 'watched' ? found : assert.fail(JSON.stringify(found));
  };
  const unhealthy = async ({ outcome }: RunningWatch) => {
    const { type, message, nonRetryable, details } = await failureOf(outcome);
    assert.deepEqual([type, nonRetryable], ['Unhealthy', true]);
    return { message, details: details?.[0] as Unhealthy };
  };
  const readings = ({ beats }: RunningWatch) =>
    beats.map((beat) => (beat as { watch: { last: { text: string; healthy: boolean } } }).watch.last);
  const hasRead = (watch: RunningWatch, part: string) =>
    eventually(`a reading with '${part}'`, async () => readings(watch).some(({ text }) => text.includes(part)));

  const probe = { kind: 'docker', restarts: 0 } as const;

  describe('of containers', () => {
    it('is healthy when they run that digest for the time, with the container as proof', async () => {
      const good = await image('good');
      const running = [await run(good), await run(good)];
      const outcome = await watched(
        startWatch({
          docker,
          watch: watchPlan([probe], { forMs: 2_000 }),
          deploy: dockerDeploy,
          image: good,
          expected: good,
          running,
        }),
      );
      assert.equal(outcome.proof, 'container');
      assert.ok(outcome.readings >= 4 && outcome.failed === 0, JSON.stringify(outcome));
      assert.match(outcome.last.text, /^docker landfall-watch-\S+ runs; /);
    });

    it('waits for a HEALTHCHECK, however long it takes to make up its mind', async () => {
      const slow = await image('slow', {
        healthcheck: { test: ['CMD', 'test', '-e', '/tmp/ready'], intervalMs: 300, retries: 50 },
      });
      const container = await run(slow);
      const watch = startWatch({
        docker,
        watch: watchPlan([probe]),
        deploy: dockerDeploy,
        image: slow,
        expected: slow,
        running: [container],
      });
      await hasRead(watch, 'is starting');
      const exec = await docker.getContainer(container.name).exec({ Cmd: ['touch', '/tmp/ready'] });
      await exec.start({ Detach: true });
      const outcome = await watched(watch);
      assert.deepEqual([outcome.failed, outcome.last.text.includes('is healthy')], [0, true]);
    });

    it('is unhealthy where a HEALTHCHECK fails, with what it said and the log, its secrets masked', async () => {
      const sick = await image('sick', {
        cmd: ['sh', '-c', 'echo connecting with $DB_PASSWORD and $DATABASE_URL; exec sleep 600'],
        healthcheck: { test: ['CMD-SHELL', 'echo the queue is stuck; exit 1'], intervalMs: 200, retries: 1 },
      });
      const running = [await run(sick, { Env: ['DB_PASSWORD=hunter2', 'DATABASE_URL=postgres://app:hunter3@db/app'] })];
      const { message, details } = await unhealthy(
        startWatch({ docker, watch: watchPlan([probe]), deploy: dockerDeploy, image: sick, expected: sick, running }),
      );
      assert.match(message, /3 readings in a row failed \(borne: 2\); the last: docker \S+ is unhealthy \(the queue is stuck\)/);
      assert.equal(details.failures.length, 3);
      assert.equal(details.log, 'connecting with [masked] and postgres://app:[masked]@db/app');
    });

    it('is unhealthy where a container restarts more often than is borne', async () => {
      const crashing = await image('crashing', { cmd: ['sh', '-c', 'echo giving up; sleep 0.2; exit 7'] });
      const running = [await run(crashing, { HostConfig: { RestartPolicy: { Name: 'always' } } })];
      const watch = watchPlan([{ kind: 'docker', restarts: 1 }], { startPeriodMs: 2_000, forMs: 20_000, withinMs: 40_000 });
      const { message, details } = await unhealthy(
        startWatch({ docker, watch, deploy: dockerDeploy, image: crashing, expected: crashing, running }),
      );
      assert.match(message, /was restarted \d+ times, borne are 1/);
      assert.match(details.log ?? '', /giving up/);
    });

    it('is unhealthy where one of several has exited, however well the others are', async () => {
      const good = await image('good');
      const running = [await run(good), await run(good, { Cmd: ['sh', '-c', 'exit 3'] })];
      // No docker probe: what has to be proven to run, has to run.
      const server = await serve((response) => response.end());
      const watch = watchPlan([http(server)]);
      const { message } = await unhealthy(
        startWatch({ docker, watch, deploy: dockerDeploy, image: good, expected: good, running }),
      );
      assert.match(message, new RegExp(`docker ${running[1]?.name} is exited \\(exit code 3\\)`));
    });

    it('waits for one that went down although its restart policy says otherwise: with its daemon, or by hand', async () => {
      const good = await image('good');
      const container = await run(good, { StopTimeout: 0, HostConfig: { RestartPolicy: { Name: 'always' } } });
      const watch = startWatch({
        docker,
        watch: watchPlan([probe], { forMs: 2_000 }),
        deploy: dockerDeploy,
        image: good,
        expected: good,
        running: [container],
      });
      await hasRead(watch, 'runs');
      await docker.getContainer(container.name).stop();
      await hasRead(watch, 'its restart policy brings it back');
      await docker.getContainer(container.name).start();
      assert.equal((await watched(watch)).failed, 0);
    });

    it('is unhealthy where somebody puts another image in its place', async () => {
      const [good, other] = [await image('good'), await image('other')];
      const container = await run(good);
      const watch = startWatch({
        docker,
        watch: watchPlan([probe], { forMs: 15_000 }),
        deploy: dockerDeploy,
        image: good,
        expected: good,
        running: [container],
      });
      await hasRead(watch, 'runs');
      // Quickly, or it would be missed first.
      const replacement = await run(other);
      await docker.getContainer(container.name).rename({ name: `${container.name}-before` });
      await docker.getContainer(replacement.name).rename({ name: container.name });
      const { message } = await unhealthy(watch);
      assert.match(
        message,
        new RegExp(
          `is not what was deployed: it has ${other.digest.slice(0, 19)}, expected ${good.digest.slice(0, 19)}; somebody replaced it`,
        ),
      );
    });

    it('knows it still where somebody removed that name of its image', async () => {
      const good = await image('good');
      const running = [await run(good)];
      const reference = `${good.repository}@${good.digest}`;
      await docker.getImage(reference).tag({ repo: good.repository, tag: 'kept' });
      await docker.getImage(reference).remove({ force: true });
      const outcome = await watched(
        startWatch({ docker, watch: watchPlan([probe]), deploy: dockerDeploy, image: good, expected: good, running }),
      );
      assert.equal(outcome.proof, 'container');
    });

    it('is unhealthy where somebody takes it away', async () => {
      const good = await image('good');
      const running = [{ name: `landfall-watch-${randomUUID()}`, reference: 'gone' }];
      const { message } = await unhealthy(
        startWatch({ docker, watch: watchPlan([probe]), deploy: dockerDeploy, image: good, expected: good, running }),
      );
      assert.match(message, /there is no such container/);
    });

    it("takes a platform's manifest for the image that it belongs to", async () => {
      const good = await image('good');
      const index = { ...good, digest: digestOf('the index') };
      const running = [await run(good)];
      const outcome = await watched(
        startWatch({ docker, watch: watchPlan([probe]), deploy: dockerDeploy, image: index, expected: index, running }),
      );
      assert.equal(outcome.proof, 'container');
    });

    it('finds the containers of compose services by service and directory', async () => {
      const [good, other] = [await image('good'), await image('other')];
      const directory = `/srv/${randomUUID()}`;
      const labels = (service: string, workingDirectory = directory, oneoff = 'False') => ({
        Labels: {
          'com.docker.compose.service': service,
          'com.docker.compose.project.working_dir': workingDirectory,
          'com.docker.compose.oneoff': oneoff,
        },
      });
      await run(good, labels('web'));
      // Compose names the folder of its file, which may lie below the directory.
      await run(good, labels('web', `${directory}/staging`));
      // Not looked at: another service, another directory, a command that somebody runs once.
      await run(other, labels('db'));
      await run(other, labels('web', '/srv/elsewhere'));
      await run(other, labels('web', `${directory}-2`));
      await run(other, labels('web', directory, 'True'));
      const compose = deployOf('compose', {
        directory: `${directory}/`,
        files: [],
        services: ['web'],
        before: [],
        after: [],
        timeoutMs: 1,
        others: 'ask',
      });
      const attempt = {
        docker,
        watch: watchPlan([probe]),
        deploy: compose,
        image: good,
        running: [{ name: 'web', reference: 'web' }],
      };
      assert.equal((await watched(startWatch({ ...attempt, expected: good }))).last.text.match(/ runs;/g)?.length, 2);
      assert.match((await unhealthy(startWatch({ ...attempt, expected: other }))).message, /is not what was deployed/);
    });

    it('needs no proof where nothing is expected', async () => {
      const running = [await run(await image('good'))];
      const outcome = await watched(startWatch({ docker, watch: watchPlan([probe]), deploy: dockerDeploy, running }));
      assert.equal(outcome.proof, 'none');
    });
  });

  describe('when the Docker daemon goes away', () => {
    async function throughGate() {
      const proxy = await startDockerProxy(docker);
      const { port }: { port?: number } = proxy.docker.modem as object;
      const gate = await startTcpGate(`http://127.0.0.1:${port}`);
      stops.push(
        () => proxy.stop(),
        () => gate.shut().catch(() => undefined),
      );
      const [host = '', gatePort] = gate.host.split(':');
      return { gate, docker: new Docker({ host, port: Number(gatePort), protocol: 'http', socketPath: undefined }) };
    }

    it('waits for it, and holds nothing against the image meanwhile', async () => {
      const through = await throughGate();
      const good = await image('good');
      let isUp = true;
      const server = await serve((response) => response.writeHead(isUp ? 200 : 503).end());
      const watch = startWatch({
        docker: through.docker,
        watch: watchPlan([probe, http(server)], { forMs: 1_000, startPeriodMs: 5_000 }),
        deploy: dockerDeploy,
        image: good,
        expected: good,
        running: [await run(good)],
      });
      await hasRead(watch, 'answered 200');
      // Its containers are down with it.
      isUp = false;
      await through.gate.shut();
      await eventually(
        'six looks without an answer',
        async () => readings(watch).filter(({ text }) => text.startsWith('Docker did not answer')).length >= 6,
      );
      await through.gate.open();
      // And take their time to start.
      await eventually(
        'failed readings',
        async () => readings(watch).filter(({ text }) => text.includes('answered 503')).length >= 4,
      );
      isUp = true;
      assert.equal((await watched(watch)).proof, 'container');
    });

    it('holds nothing against containers that it stops on its way down, whatever their restart policy is', async () => {
      const proxy = await startDockerProxy(docker);
      stops.push(() => proxy.stop());
      const good = await image('good');
      const container = await run(good);
      const watch = startWatch({
        docker: proxy.docker,
        watch: watchPlan([probe], { failures: 0, forMs: 2_000 }),
        deploy: dockerDeploy,
        image: good,
        expected: good,
        running: [container],
      });
      await hasRead(watch, 'runs');
      proxy.goDown();
      await docker.getContainer(container.name).stop();
      await hasRead(watch, 'being stopped or restarted');
      assert.equal(readings(watch).filter(({ text }) => text.includes('exited')).length, 0);
      watch.environment.cancel();
      await assert.rejects(watch.outcome, CancelledFailure);
    });

    it('ends as cancelled at once, also while it does not answer', async () => {
      const never = new Promise<void>(() => undefined);
      const proxy = await startDockerProxy(docker, (line) => (line.includes('/images/') ? never : Promise.resolve()));
      stops.push(() => proxy.stop());
      const good = await image('good');
      const running = [await run(good)];
      const watch = startWatch({
        docker: proxy.docker,
        watch: watchPlan([probe]),
        deploy: dockerDeploy,
        image: good,
        expected: good,
        running,
      });
      await eventually('a question', async () => proxy.requests.some((line) => line.includes('/images/')));
      watch.environment.cancel();
      await assert.rejects(watch.outcome, CancelledFailure);
    });

    it('says so in the end, where it never comes back', async () => {
      const through = await throughGate();
      const good = await image('good');
      const container = await run(good);
      await through.gate.shut();
      const watch = watchPlan([probe], { withinMs: 800 });
      const { message } = await unhealthy(
        startWatch({ docker: through.docker, watch, deploy: dockerDeploy, image: good, expected: good, running: [container] }),
      );
      assert.match(message, /within 0.8 s, but no reading was good; the last: Docker did not answer \(.*ECONNREFUSED/);
    });
  });

  async function serve(answer: (response: ServerResponse) => void): Promise<HttpServer> {
    const server = await startHttpServer((_, response) => answer(response));
    stops.push(server.stop);
    return server;
  }
  function http({ host }: HttpServer, changes: Partial<HttpProbePlan> = {}): HttpProbePlan {
    return { kind: 'http', url: `http://${host}/`, headers: {}, status: ['2xx'], timeoutMs: 2_000, ...changes };
  }
  const expected = { digest: digestOf('new') as Digest, tag: '2' };
  const version = { from: { json: '/version' }, equals: 'tag' } as const;

  describe('of answers', () => {
    it('is healthy only when the new version answers, with the probe as proof', async () => {
      let answered = '1';
      const server = await serve((response) => response.end(JSON.stringify({ version: answered })));
      const watch = startWatch({ docker, watch: watchPlan([http(server, { version })], { startPeriodMs: 10_000 }), expected });
      await hasRead(watch, 'is still another version');
      answered = '2';
      const outcome = await watched(watch);
      assert.equal(outcome.proof, 'probe');
      assert.ok(outcome.failed >= 1 && outcome.healthyAfterMs > 0);
    });

    it('is unhealthy where the old version goes on answering', async () => {
      const server = await serve((response) => response.end('{"version":"1"}'));
      const { message } = await unhealthy(startWatch({ docker, watch: watchPlan([http(server, { version })]), expected }));
      assert.match(message, /is still another version: \/version of its answer says 1, expected tag 2/);
    });

    it('bears what flaps as long as it is allowed to, and no longer', async () => {
      const rhythm = (pattern: string) => {
        let asked = 0;
        return serve((response) => response.writeHead(pattern[asked++ % pattern.length] === 'g' ? 200 : 500).end());
      };
      const borne = await watched(startWatch({ docker, watch: watchPlan([http(await rhythm('ggbb'))], { forMs: 1_500 }) }));
      assert.ok(borne.failed >= 2);
      const { details } = await unhealthy(
        startWatch({ docker, watch: watchPlan([http(await rhythm('ggbbb'))], { forMs: 5_000 }) }),
      );
      assert.deepEqual([details.readings, details.failed], [5, 3]);
    });

    it('says which of several probes failed', async () => {
      const [good, bad] = [await serve((response) => response.end()), await serve((response) => response.writeHead(500).end())];
      const { message } = await unhealthy(startWatch({ docker, watch: watchPlan([http(good), http(bad)]) }));
      assert.match(message, new RegExp(`the last: http http://${bad.host}/ answered 500, expected 2xx$`));
    });

    it('is not kept by an answer that never ends', async () => {
      const server = await serve((response) => response.write('.'));
      const watch = watchPlan([http(server, { timeoutMs: 100 })]);
      assert.match((await unhealthy(startWatch({ docker, watch }))).message, /did not answer within 0.1 s/);
    });
  });

  describe('a worker that is killed', () => {
    it('has left in its heartbeats from where the next one goes on', async () => {
      const server = await serve((response) => response.end());
      const plan = watchPlan([http(server)], { forMs: 1_500 });
      const first = startWatch({ docker, watch: plan });
      await eventually('some readings', async () => readings(first).length >= 8);
      first.environment.cancel();
      await assert.rejects(first.outcome, CancelledFailure);
      // As Temporal keeps it.
      const before = JSON.parse(JSON.stringify(first.beats.at(-1)));
      const second = startWatch({ docker, watch: plan, before });
      const outcome = await watched(second);
      assert.equal(outcome.readings, first.beats.length + second.beats.length);
      assert.ok(second.beats.length < 1_500 / plan.intervalMs, `${second.beats.length}`);
    });

    it('does not make the failures of before forgotten', async () => {
      const server = await serve((response) => response.writeHead(500).end());
      const plan = watchPlan([http(server)], { failures: 5 });
      const first = startWatch({ docker, watch: plan });
      await eventually('some readings', async () => readings(first).length >= 3);
      first.environment.cancel();
      await assert.rejects(first.outcome, CancelledFailure);
      const { details } = await unhealthy(startWatch({ docker, watch: plan, before: first.beats.at(-1) }));
      assert.equal(details.failed, 6);
    });

    it('beats with what the one before noted, until it knows more', async () => {
      const quick = await serve((response) => response.end());
      const first = startWatch({ docker, watch: watchPlan([http(quick)], { forMs: 0 }) });
      await watched(first);
      const before = first.beats.at(-1);
      const hanging = await serve(() => {});
      const second = startWatch({ docker, watch: watchPlan([http(hanging, { timeoutMs: 60_000 })]), before });
      await eventually('a beat', async () => second.beats.length > 0);
      second.environment.cancel();
      await assert.rejects(second.outcome, CancelledFailure);
      assert.deepEqual(second.beats[0], before);
    });

    it('keeps what it noted in every beat, so that Temporal never forgets it', async () => {
      const server = await serve((response) => response.end());
      const noted = startWatch({ docker, watch: watchPlan([http(server)], { forMs: 3_500, intervalMs: 3_400 }) });
      await watched(noted);
      assert.ok(noted.beats.length >= 3 && noted.beats.every((beat) => beat !== undefined), JSON.stringify(noted.beats));
    });
  });

  describe('of what something else deploys', () => {
    const repository = 'team/deployment';
    let github: GitHub;
    beforeEach(async () => {
      github = await startGitHub();
      await github.createRepository(repository, { files: { 'docker-compose.yml': 'services: {}' } });
      stops.push(() => github.stop());
    });

    async function report(state: string) {
      const body = { ref: 'main', environment: 'production', auto_merge: false, required_contexts: [], payload: expected };
      const { body: made } = await github.ask('POST', `/repos/${repository}/deployments`, body);
      const { id } = made as { id: number };
      await github.ask('POST', `/repos/${repository}/deployments/${id}/statuses`, { state });
    }
    async function startDeploymentWatch(withinMs?: number) {
      const server = await serve((response) => response.end());
      const { clientFor } = createGitHubClients({ token }, { url: github.url });
      const deployment = { repository, environment: 'production' };
      const watch = watchPlan([http(server)], { deployment, ...(withinMs !== undefined && { withinMs }) });
      return startWatch({ docker, watch, expected, clientFor });
    }

    it('is healthy once its deployment has succeeded, with that as proof', async () => {
      await report('success');
      assert.equal((await watched(await startDeploymentWatch())).proof, 'deployment');
    });

    it('is unhealthy as soon as its deployment has failed, and where there never is one', async () => {
      const { message } = await unhealthy(await startDeploymentWatch(2_000));
      assert.match(message, /within 2 s, but no reading was good; the last: no deployment of .* is about this image yet/);
      await report('failure');
      const failed = await unhealthy(await startDeploymentWatch());
      assert.match(failed.message, /expected it to become healthy, but deployment of .* failed/);
      assert.equal(failed.details.readings, 1);
    });
  });

  it('ends as cancelled at once, also while a probe hangs', async () => {
    const server = await serve(() => {});
    const watch = startWatch({ docker, watch: watchPlan([http(server, { timeoutMs: 60_000 })]) });
    await eventually('a request', async () => server.requests.length > 0);
    watch.environment.cancel();
    await assert.rejects(watch.outcome, CancelledFailure);
  });
});
