import assert from 'node:assert/strict';
import type Docker from 'dockerode';
import { createAcceptPushes } from '../../src/api/webhooks/accept-pushes.ts';
import { jsonLines } from '../../src/platform/docker/events.ts';
import { ensureDocker, removeImagesOf } from '../support/docker.ts';
import { pushImage, pushIndex } from '../support/images.ts';
import { type Registry, startRegistry } from '../support/registry.ts';
import { registryClient, repositoryAt, tagOf } from '../support/registry-client.ts';
import { startNamespace, type TestNamespace } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { distributionToken, exactly, findersOf, type Ingress, planOf, startIngress } from './support/ingress.ts';

/** A registry tells of its pushes in order, so once this one has begun, all before it were answered. */
const last = 'team/last';

/** No worker runs here: what was started stays as it was started, and can be counted. */
describe('a real registry that reports its pushes', function () {
  this.timeout(120_000);
  let temporal: TestNamespace;
  let docker: Docker;
  let ingress: Ingress;
  let registry: Registry;
  before(async () => {
    docker = await ensureDocker();
    temporal = await startNamespace();
    ingress = await startIngress({
      acceptPushes: (log) => async (received) => {
        const plans = [
          planOf('arches', `${registry.host}/team/arches`, exactly('latest')),
          planOf('five', `${registry.host}/team/five`, exactly('stable', '1.2')),
          planOf('last', `${registry.host}/${last}`, exactly('latest')),
        ];
        const { client } = temporal;
        const acceptPushes = createAcceptPushes({ client, ...findersOf(plans), isNamespaceReady: async () => true, log });
        return await acceptPushes(received);
      },
    });
    const headers = { Authorization: [`Bearer ${distributionToken}`] };
    registry = await startRegistry({ notifications: { url: `${ingress.url}/webhook/distribution`, headers } });
  });
  after(async () => {
    await removeImagesOf(docker, registry.host);
    await registry.stop();
    await ingress.listeners.stop();
    await temporal.stop();
  });

  /** Workflow ids by service, after everything that was pushed so far has been reported. */
  const started = async (marker: string): Promise<Record<string, string[]>> => {
    const digest = await pushImage(registry, last, 'latest', { files: { marker } });
    await eventually('the last push to be reported', async () => {
      const ids = await idsIn(temporal);
      return ids.includes(`rollout:last:latest:${digest.slice(7, 19)}`);
    });
    const ids = await idsIn(temporal);
    return Object.fromEntries(['arches', 'five'].map((name) => [name, ids.filter((id) => id.includes(`:${name}`)).sort()]));
  };

  it('starts one rollout for a multi-arch image with attestations, and it is that of the index', async () => {
    const images = ['linux/amd64', 'linux/arm64'].map((platform) => ({ platform, files: { platform } }));
    const { digest } = await pushIndex(registry, 'team/arches', 'latest', images, { attestations: true });
    assert.deepEqual((await started('arches')).arches, [`rollout:arches:latest:${digest.slice(7, 19)}`]);
  });

  it('starts one rollout for each followed one of five tags that docker push sends, and nothing else', async () => {
    const source = await pushImage(registry, 'team/five', undefined, { files: { five: 'tags' }, mediaTypes: 'docker' });
    const pulled = `${registry.host}/team/five@${source}`;
    await finished(await docker.pull(pulled));
    for (const tag of ['latest', '1', '1.2', '1.2.3', 'stable']) {
      await docker.getImage(pulled).tag({ repo: `${registry.host}/team/five`, tag });
      const image = docker.getImage(`${registry.host}/team/five:${tag}`);
      await finished(await image.push({ authconfig: { username: 'nobody', password: 'nothing' } }));
    }
    // Docker compresses anew, so the digest is another one, and the same for all five.
    const resolve = (tag: string) => registryClient().resolve(repositoryAt(registry, 'team/five'), tagOf(tag));
    const at = (await resolve('1.2'))?.slice(7, 19);
    assert.equal((await resolve('stable'))?.slice(7, 19), at);
    assert.deepEqual((await started('five')).five, [`rollout:five:1.2:${at}`, `rollout:five:stable:${at}`]);
  });
});

async function idsIn({ client }: TestNamespace): Promise<string[]> {
  const ids: string[] = [];
  for await (const { workflowId } of client.workflow.list()) ids.push(workflowId);
  return ids;
}

/** Docker says in its stream whether a pull or a push has failed. */
async function finished(stream: NodeJS.ReadableStream): Promise<void> {
  for await (const line of jsonLines(stream)) if ('error' in line) throw new Error(String(line.error));
}
