import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import Docker from 'dockerode';
import { ownContainer, workerReach } from '../../../src/platform/docker/connect.ts';
import { ensureDocker } from '../../support/docker.ts';

describe('where a worker runs', () => {
  const id = '3f1c'.repeat(16);
  const mounts =
    (...lines: string[]) =>
    (path: string) =>
      path === '/proc/self/mountinfo' ? lines.join('\n') : undefined;
  const overlay = '1 0 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/A';
  const inDocker = mounts(overlay, `2 1 8:1 /var/lib/docker/containers/${id}/hostname /etc/hostname rw - ext4 /dev/sda1 rw`);

  it('is the container whose files lie over its /etc', () => {
    assert.equal(ownContainer(inDocker), id);
    const desktop = `2 1 254:1 /docker/containers/${id}/resolv.conf /etc/resolv.conf rw - ext4 /dev/vda1 rw`;
    assert.equal(ownContainer(mounts(overlay, desktop)), id);
    const podman = `2 1 0:25 /containers/storage/overlay-containers/${id}/userdata/hosts /etc/hosts rw - tmpfs tmpfs rw`;
    assert.equal(ownContainer(mounts(overlay, podman)), id);
  });

  it('is no container on a host, not even on one that runs containers', () => {
    const shm = `3 1 0:60 / /var/lib/docker/containers/${id}/mounts/shm rw - tmpfs shm rw`;
    const volume = `4 1 8:1 /var/lib/docker/containers/${id}/hostname /mnt/copy rw - ext4 /dev/sda1 rw`;
    assert.equal(ownContainer(mounts('1 0 8:1 / / rw - ext4 /dev/sda1 rw', shm, volume)), undefined);
    assert.equal(
      ownContainer(() => undefined),
      undefined,
    );
  });

  it('reaches containers by loopback on a host', async () => {
    assert.deepEqual(await workerReach(await ensureDocker(), () => undefined), { hostReach: 'loopback' });
  });

  it('reaches containers by loopback from a container that this Docker does not know', async () => {
    const unknown = randomBytes(32).toString('hex');
    const readText = mounts(`2 1 8:1 /var/lib/docker/containers/${unknown}/hosts /etc/hosts rw - ext4 /dev/sda1 rw`);
    assert.deepEqual(await workerReach(await ensureDocker(), readText), { hostReach: 'loopback' });
  });

  it('does not keep a worker in a container from starting while Docker is down', async () => {
    const nowhere = new Docker({ socketPath: '/nowhere/docker.sock', host: undefined });
    assert.deepEqual(await workerReach(nowhere, inDocker), { hostReach: 'network', ownContainer: id });
  });
});
