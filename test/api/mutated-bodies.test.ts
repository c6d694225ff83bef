import assert from 'node:assert/strict';
import fc from 'fast-check';
import { planStarts } from '../../src/api/webhooks/plan-starts.ts';
import { isDigest, isTag, parseRepository } from '../../src/domain/image-reference.ts';
import { progressEvents } from '../../src/sources/github/progress.ts';
import { forgeEvents } from './support/forge-events.ts';
import { distributionToken, exactly, findersOf, githubSecret, type Ingress, planOf, startIngress } from './support/ingress.ts';
import { bearer, githubSignature, smallestGithubEvent, type Vector, vectorsOf } from './support/vectors.ts';

const seed = 20260102;
const runs = 1_500;

describe('whatever an authentic sender sends', function () {
  this.timeout(120_000);
  let ingress: Ingress;
  before(async () => {
    // What the receivers let through is planned as in production, and every push is looked at.
    ingress = await startIngress({
      acceptPushes: () => async (received) => {
        for (const push of received.pushes) {
          assert.equal(parseRepository(push.repository), push.repository);
          assert.ok(push.tag !== undefined && isTag(push.tag));
          assert.ok(push.digest === undefined || isDigest(push.digest));
          assert.doesNotMatch(JSON.stringify([push.actor, push.commit, push.sourceRepository]), /\\[nrtu]/);
        }
        planStarts(received, findersOf([planOf('app', 'ghcr.io/team/app', exactly('latest'))]));
        return { rollouts: [], resolving: [] };
      },
      forwardProgress: () => async (progress) => {
        // All of this goes into a query of Temporal's, or into logs and histories.
        assert.match(progress.repository, /^[\w.-]+\/[\w.-]+$/);
        assert.match(progress.what, /^[a-z_]+ of [\w./-]+ [a-z_ ]+$/);
        for (const branch of progress.branches) assert.match(branch, /^landfall\/[\w.-]+$/);
        if (progress.rollout !== undefined) assert.match(progress.rollout, /^(?:rollout|rollback):[\w.:-]+$/);
        return { ignored: 'nobody waits' };
      },
    });
  });
  after(async () => {
    await ingress.listeners.stop();
  });

  const smallest: Vector = {
    name: 'smallest',
    headers: { 'Content-Type': 'application/json', 'X-GitHub-Event': 'registry_package' },
    raw: JSON.stringify(smallestGithubEvent),
    images: [],
  };
  const ofForge: readonly Vector[] = forgeEvents(progressEvents, 'landfall/app-production').map(({ event, action, body }) => ({
    name: `${event} ${action}`,
    headers: { 'Content-Type': 'application/json', 'X-GitHub-Event': event },
    raw: JSON.stringify(body),
    images: [],
  }));
  for (const [source, path, vectors] of [
    ['github', '/webhook/image-published', [...vectorsOf('github'), smallest, ...ofForge]],
    ['distribution', '/webhook/distribution', vectorsOf('distribution')],
  ] as const) {
    const accepts = async (vector: Vector, body: Buffer): Promise<void> => {
      const proof = source === 'github' ? githubSignature(githubSecret, body) : bearer(distributionToken);
      const answer = await ingress.post(path, body, { ...vector.headers, ...proof });
      await answer.arrayBuffer();
      assert.ok(answer.status === 200 || answer.status === 400, `status ${answer.status} for ${body.toString()}`);
    };

    it(`is answered with 200 or 400 where bytes of a ${source} body are changed`, async () => {
      const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }), fc.constantFrom('set', 'insert', 'cut'));
      const property = fc.asyncProperty(
        fc.constantFrom(...vectors),
        fc.array(change, { minLength: 1, maxLength: 4 }),
        async (vector, changes) => {
          await accepts(vector, changes.reduce(changeBytes, Buffer.from(vector.raw)));
        },
      );
      await fc.assert(property, { seed, numRuns: runs });
    });

    it(`is answered with 200 or 400 where values of a ${source} body are replaced`, async () => {
      const property = fc.asyncProperty(fc.constantFrom(...vectors), fc.nat(), strangeValue, async (vector, where, value) => {
        await accepts(vector, Buffer.from(JSON.stringify(replaceValue(JSON.parse(vector.raw), where, value))));
      });
      await fc.assert(property, { seed, numRuns: runs });
    });
  }
});

/** JSON of any shape, and text of the kinds that have broken parsers of references, names and paths. */
const strangeValue = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.constantFrom(
    '',
    '/',
    ':',
    '@',
    '..',
    'ghcr.io/',
    'ghcr.io//x',
    'a/b:c@d',
    '%2e%2e',
    'ghcr.io/a\nb',
    '\u202E',
    '__proto__',
    '[::1]:5000',
  ),
  fc.constantFrom('https://ghcr.io', 'https://[', 'http://a b/', '🐳', 'x'.repeat(5_000), 1e308, -0, null),
);

function changeBytes(body: Buffer, [position, byte, how]: readonly [number, number, string]): Buffer {
  const at = position % (body.length + 1);
  const rest = how === 'insert' ? at : at + 1;
  return Buffer.concat([body.subarray(0, at), how === 'cut' ? Buffer.alloc(0) : Buffer.of(byte), body.subarray(rest)]);
}

/** The body with one of its values, at any depth, replaced. */
function replaceValue(body: unknown, where: number, value: unknown): unknown {
  let countdown = where % countValues(body);
  const visit = (node: unknown): unknown => {
    if (countdown-- === 0) return value;
    if (Array.isArray(node)) return node.map(visit);
    if (typeof node !== 'object' || node === null) return node;
    return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, visit(child)]));
  };
  return visit(body);
}

function countValues(node: unknown): number {
  if (typeof node !== 'object' || node === null) return 1;
  return 1 + Object.values(node).reduce((sum: number, child: unknown) => sum + countValues(child), 0);
}
