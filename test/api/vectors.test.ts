import assert from 'node:assert/strict';
import type { AcceptPushes } from '../../src/api/webhooks/accept-pushes.ts';
import { type Ingress, startIngress } from './support/ingress.ts';
import { type Age, type Authenticated, type Senders, startSenders } from './support/senders.ts';
import { type ExpectedImage, type Vector, type VectorSource, vectorSources, vectorsOf } from './support/vectors.ts';

/** What a listed image looks like once it is a push. */
type Image = ExpectedImage;

/** Every vector, sent as its source sends it to an ingress that listens for all sources. */
describe('the requests of every source', function () {
  this.timeout(60_000);
  let senders: Senders;
  const ingresses = new Map<string, Ingress>();
  let received: Image[] = [];
  before(async () => {
    senders = await startSenders();
  });
  after(async () => {
    for (const ingress of ingresses.values()) await ingress.listeners.stop();
    await senders.stop();
  });

  const acceptPushes: AcceptPushes = async ({ pushes }) => {
    received = pushes.map(({ repository, tag = '', digest, commit }) => ({
      ...{ repository, tag, digest: digest ?? null },
      ...(commit !== undefined && { commit }),
    }));
    return { rollouts: pushes.map(({ tag }) => ({ id: `${tag}`, service: 'any', image: `${tag}` })), resolving: [] };
  };

  const ingressFor = async (prefix = ''): Promise<Ingress> => {
    const started =
      ingresses.get(prefix) ??
      (await startIngress({
        receivers: senders.settings(prefix || undefined),
        env: senders.env,
        acceptPushes: () => acceptPushes,
      }));
    ingresses.set(prefix, started);
    return started;
  };

  /** The status of the answer; what came of it is in `received`. */
  const send = async (vector: Vector, { path, headers }: Authenticated): Promise<number> => {
    received = [];
    const ingress = await ingressFor(vector.allowedImagePrefix);
    const query = new URLSearchParams(vector.query).toString();
    const answer = await ingress.post(`${path}${query && `?${query}`}`, vector.raw, { ...withoutSecrets(vector), ...headers });
    assert.notEqual((await answer.text()).length, 0);
    return answer.status;
  };

  const expectTaken = async (source: VectorSource, vector: Vector, age: Age): Promise<void> => {
    const status = await send(vector, await senders.authenticate(source, vector.raw, age));
    assert.equal(status, vector.status ?? (vector.images.length > 0 ? 202 : 200));
    assert.deepEqual(received.map(comparable(vector)), vector.images);
  };

  const expectRefused = async (vector: Vector, authenticated: Authenticated): Promise<void> => {
    assert.equal(await send(vector, authenticated), 401);
    assert.deepEqual(received, []);
  };

  for (const source of vectorSources) {
    for (const vector of vectorsOf(source)) {
      it(`${source}/${vector.name}: exactly the listed images with the new and with the old secret, nothing without`, async () => {
        await expectTaken(source, vector, 'new');
        await expectTaken(source, vector, 'old');
        await expectRefused(vector, await senders.authenticate(source, vector.raw, 'removed'));
        await expectRefused(vector, await senders.forge(source, vector.raw));
        await expectRefused(vector, { path: senders.bare(source), headers: {} });
      });
    }
  }

  it('are 134', () => {
    assert.equal(vectorSources.flatMap((source) => vectorsOf(source)).length, 134);
  });

  it('leave no secret in what was written', () => {
    const written = [...ingresses.values()].map((ingress) => ingress.written()).join('');
    assert.match(written, /webhook_received/);
    assert.doesNotMatch(written, /canary|eyJ/);
  });
});

/** Recordings hold the header of a secret that is not ours. */
function withoutSecrets({ headers }: Vector): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'authorization'));
}

/** A commit counts where the vector lists one: what else proves one (the token of a job) is no part of the body. */
function comparable({ images }: Vector): (image: Image) => Image {
  const listsCommits = images.some(({ commit }) => commit !== undefined);
  return ({ commit, ...image }) => (listsCommits && commit !== undefined ? { ...image, commit } : image);
}
