import assert from 'node:assert/strict';
import type Docker from 'dockerode';
import type { SmokePlan } from '../../../src/checks/smoke/plan.ts';
import { ensureDocker, labelled, removeImagesOf } from '../../support/docker.ts';
import { type ImageOptions, pushImage } from '../../support/images.ts';
import { type Registry, startRegistry } from '../../support/registry.ts';
import { imageToSmoke, smokePlan, startSmoke } from '../../support/smoke.ts';
import { endOf } from '../../support/smoke-pods.ts';
import { secretsOfRuns, smokeRunCases } from '../../support/smoke-runs.ts';

describe('a smoke test that runs the image to its end', function () {
  this.timeout(60_000);
  let docker: Docker;
  let registry: Registry;

  before(async () => {
    docker = await ensureDocker();
    registry = await startRegistry();
  });
  after(async () => {
    await removeImagesOf(docker, registry.host);
    await registry.stop();
  });

  async function run(name: string, options: ImageOptions, settings: Partial<SmokePlan>) {
    const digest = await pushImage(registry, name, 'latest', { busybox: true, ...options });
    const image = imageToSmoke(`${registry.host}/${name}`, digest);
    const dependencies = { secrets: secretsOfRuns };
    const { outcome, rollout, warnings } = startSmoke({ docker, image, smoke: smokePlan(settings), dependencies });
    const end = await endOf(outcome);
    assert.deepEqual([warnings, await labelled(docker, rollout)], [[], []]);
    return end;
  }

  for (const { what, options, settings, failure = 'passed', says, log = /^/ } of smokeRunCases)
    it(`says of ${what}: ${failure}`, async () => {
      const end = await run(what, options, settings);
      assert.equal(end.type, failure, end.text);
      assert.match(end.text, says);
      assert.match(end.log ?? '', log);
    });

  const json = { command: [], expect: { json: {} } };

  it('looks at stdout alone', async () => {
    const end = await run('on-stderr', { cmd: ['sh', '-c', "echo '{}' >&2"] }, json);
    assert.equal(end.type, 'SmokeFailed', end.text);
    assert.match(
      end.text,
      /expected the container to print a JSON object as a line of its own \(run, with the image's own command\)/,
    );
    assert.equal(end.log, '{}');
  });

  it('keeps only the end of what is printed, however much that is', async () => {
    const flood = "busybox dd if=/dev/zero bs=1M count=20 2>/dev/null | busybox tr '\\0' x | busybox fold -w 9000; echo";
    const first = await run('flood-last', { cmd: ['sh', '-c', `echo '{}'; ${flood}`] }, json);
    assert.match(first.text, /without one \(of a long output, only the end is looked at\)/);
    const last = await run('flood-first', { cmd: ['sh', '-c', `${flood}; echo '{}'`] }, json);
    assert.match(last.text, /^done by json /);
    for (const { log = '' } of [first, last]) assert.ok(log.length > 0 && log.length <= 4_096, `${log.length}`);
  });

  it('is told what to do where the program is not there', async () => {
    const end = await run('nothing', { entrypoint: ['/bin/nothing'] }, json);
    assert.match(end.text, /its command cannot be run .*: correct the image or smoke\.run/);
  });
});
