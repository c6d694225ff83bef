import assert from 'node:assert/strict';
import { createImages, type PullOptions } from '../../../src/platform/docker/images.ts';
import { ensureDocker, hasImage } from '../../support/docker.ts';
import { startDockerProxy } from '../../support/docker-proxy.ts';
import { startHttpServer } from '../../support/http-server.ts';
import { hostPlatform, pushImage, pushIndex, sha256 } from '../../support/images.ts';
import { startRegistry } from '../../support/registry.ts';
import { mediaTypes } from '../../support/registry-upload.ts';
import { eventually } from '../../support/wait.ts';

describe('images', function () {
  this.timeout(30_000);
  const options = (): PullOptions => ({
    platform: hostPlatform(),
    credentials: async () => undefined,
    signal: new AbortController().signal,
    now: () => new Date(),
  });

  it('are removed when the last of their users gives them back, and not before', async () => {
    const docker = await ensureDocker();
    const registry = await startRegistry();
    try {
      const digest = await pushImage(registry, 'shared', 'latest', { cmd: ['true'], env: { ONLY: 'shared' } });
      const reference = `${registry.host}/shared@${digest}`;
      const images = createImages(docker);
      await images.take(reference, options());
      await images.take(reference, options());
      await images.giveBack(reference);
      assert.equal(await hasImage(docker, reference), true);
      await images.giveBack(reference);
      assert.equal(await hasImage(docker, reference), false);
    } finally {
      await registry.stop();
    }
  });

  it('that somebody has pulled by tag meanwhile stay with that tag', async () => {
    const docker = await ensureDocker();
    const registry = await startRegistry();
    try {
      const digest = await pushImage(registry, 'tagged', 'latest', { cmd: ['true'], env: { ONLY: 'tagged' } });
      const [reference, tagged] = [`${registry.host}/tagged@${digest}`, `${registry.host}/tagged:latest`];
      const images = createImages(docker);
      await images.take(reference, options());
      const pulling = await docker.pull(tagged);
      await new Promise((resolve) => docker.modem.followProgress(pulling, resolve));
      await images.giveBack(reference);
      assert.equal(await hasImage(docker, tagged), true);
      await docker.getImage(tagged).remove();
      assert.equal(await hasImage(docker, reference), false);
    } finally {
      await registry.stop();
    }
  });

  it('that are being removed are pulled again by whoever takes them then', async () => {
    const docker = await ensureDocker();
    const registry = await startRegistry();
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const proxy = await startDockerProxy(docker, async (line) => {
      if (line.startsWith('DELETE')) await released;
    });
    try {
      const digest = await pushImage(registry, 'again', 'latest', { cmd: ['true'], env: { ONLY: 'again' } });
      const reference = `${registry.host}/again@${digest}`;
      const images = createImages(proxy.docker);
      await images.take(reference, options());
      const removing = images.giveBack(reference);
      const taking = images.take(reference, options());
      // By then it would have seen the image, too.
      assert.equal(await hasImage(docker, reference), true);
      release();
      await Promise.all([removing, taking]);
      assert.equal(await hasImage(docker, reference), true);
      await images.giveBack(reference);
      assert.equal(await hasImage(docker, reference), false);
    } finally {
      release();
      await proxy.stop();
      await registry.stop();
    }
  });

  it('of an index without the platform are refused', async () => {
    const docker = await ensureDocker();
    const registry = await startRegistry();
    try {
      const platform = hostPlatform() === 'linux/amd64' ? 'linux/arm64' : 'linux/amd64';
      const { digest } = await pushIndex(registry, 'other', 'latest', [{ cmd: ['true'], platform }]);
      const images = createImages(docker);
      const taking = images.take(`${registry.host}/other@${digest}`, options());
      await assert.rejects(taking, { name: 'PlatformMissing', message: new RegExp(`for ${hostPlatform()}`) });
    } finally {
      await registry.stop();
    }
  });

  it('that are larger than their manifest says are not downloaded to the end, if they have one', async () => {
    const docker = await ensureDocker();
    const [os, architecture] = hostPlatform().split('/');
    const layer = sha256('a layer without an end');
    const config = JSON.stringify({ os, architecture, config: {}, rootfs: { type: 'layers', diff_ids: [layer] } });
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.oci.manifest,
      config: { mediaType: mediaTypes.oci.config, digest: sha256(config), size: config.length },
      layers: [{ mediaType: mediaTypes.oci.layer, digest: layer, size: 1000 }],
    });
    let sent = 0;
    let isCut = false;
    const server = await startHttpServer((request, response) => {
      if (request.url?.endsWith(layer)) {
        const drip = setInterval(() => response.write(Buffer.alloc(256 * 1024), () => (sent += 256 * 1024)), 10);
        response.once('close', () => {
          clearInterval(drip);
          isCut = true;
        });
      } else if (request.url?.includes('/manifests/')) {
        response.setHeader('docker-content-digest', sha256(manifest));
        response.setHeader('content-length', manifest.length);
        response.setHeader('content-type', mediaTypes.oci.manifest).end(request.method === 'HEAD' ? '' : manifest);
      } else response.end(request.url?.endsWith(sha256(config)) ? config : '{}');
    });
    try {
      const reference = `${server.host}/endless@${sha256(manifest)}`;
      const taken = createImages(docker).take(reference, { ...options(), mostBytes: 2 * 1024 ** 2 });
      // Docker 29 looks at the sizes itself.
      await assert.rejects(taken, /at most 2097152 bytes .* the pull was stopped|read past expected size 1000/);
      await eventually('the download to be cut', async () => isCut);
      assert.ok(sent < 64 * 1024 ** 2, `${sent} bytes were sent`);
      assert.equal(await hasImage(docker, reference), false);
    } finally {
      await server.stop();
    }
  });
});
