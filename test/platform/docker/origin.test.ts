import assert from 'node:assert/strict';
import { digestsOfOrigin } from '../../../src/platform/docker/container.ts';

describe("a digest that Docker tells of an image in containerd's store", () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  /** As Docker 29 tells it: a digest for each name of the image, and the hosts that it is from without their ports. */
  const known = (names: readonly string[], origins: readonly string[]) =>
    digestsOfOrigin({
      RepoDigests: names.map((name) => `${name}@${digest}`),
      Descriptor: { digest },
      Identity: origins.length === 0 ? null : { Pull: origins.map((Repository) => ({ Repository })) },
    }).map((each) => each.slice(0, each.indexOf('@')));

  it("counts where the image was pulled from there, and not where it only has that repository's name", () => {
    assert.deepEqual(known(['ghcr.io/team/app', 'landfall/keep'], ['ghcr.io/team/app']), ['ghcr.io/team/app']);
    assert.deepEqual(known(['local/own'], []), []);
    assert.deepEqual(known(['nginx', 'mine/nginx'], ['docker.io/library/nginx']), ['nginx']);
    assert.deepEqual(known(['ghcr.io/team/app'], ['quay.io/team/app', 'ghcr.io/team/other']), []);
  });

  it('counts whatever port and form the host of the registry has', () => {
    assert.deepEqual(known(['127.0.0.1:5000/team/app'], ['127.0.0.1/team/app']), ['127.0.0.1:5000/team/app']);
    assert.deepEqual(known(['localhost:5000/app'], ['localhost/app']), ['localhost:5000/app']);
    assert.deepEqual(known(['registry:5000/team/app'], ['docker.io/registry/team/app']), ['registry:5000/team/app']);
    assert.deepEqual(known(['[::1]:5000/team/app'], []), ['[::1]:5000/team/app']);
  });
});
