import assert from 'node:assert/strict';
import { defaultPayloadConverter, type Payload, type SerializationContext } from '@temporalio/common';
import fc from 'fast-check';
import { createSealCodec } from '../../src/contracts/seal.ts';
import { isUnsealed, openSealed, type SealedValue, sealedFor } from '../../src/contracts/sealed.ts';

const key = 'a'.repeat(32);
const of = (workflowId: string): SerializationContext => ({ type: 'workflow', namespace: 'ignored', workflowId });
const worker = createSealCodec('default', { keys: [key] }, 'worker');
const client = createSealCodec('default', { keys: [key] }, 'client');

async function sealed(value: unknown, context = of('rollout:app'), codec = worker): Promise<Payload> {
  const [payload] = await codec.encode([defaultPayloadConverter.toPayload(value)], context);
  return payload ?? assert.fail('no payload');
}
async function opened(payload: Payload, context = of('rollout:app'), codec = worker): Promise<unknown> {
  const [plain] = await codec.decode([payload], context);
  return defaultPayloadConverter.fromPayload(plain ?? assert.fail('no payload'));
}
const textOf = ({ data }: Payload) => Buffer.from(data ?? []).toString();

describe('a seal', () => {
  it('leaves every value as it is, in the history and for whoever has the key', async () => {
    const nasty = fc.constantFrom(',"value":', '{"landfall":', '"}', '\\",\\"value\\":', '}', 'ü', '\u0000');
    const value = fc.oneof(
      fc.jsonValue(),
      fc.array(nasty).map((parts) => ({ [parts.join('')]: parts.join('') })),
    );
    const terms = fc.record({ for: fc.oneof(fc.string(), nasty), at: fc.nat() }, { requiredKeys: ['for'] });
    await fc.assert(
      fc.asyncProperty(value, terms, async (one, what) => {
        const payload = await sealed(sealedFor(what, one));
        assert.deepEqual(JSON.parse(textOf(payload)), JSON.parse(JSON.stringify(one)));
        assert.deepEqual(await opened(payload), JSON.parse(JSON.stringify({ landfall: what, value: one })));
        assert.deepEqual(await opened(payload, of('rollout:app'), client), JSON.parse(JSON.stringify(one)));
      }),
    );
  });

  it('keeps nothing as nothing', async () => {
    const payload = await sealed(sealedFor({ for: 'answer discardPrevious' }, undefined));
    assert.equal(Buffer.from(payload.metadata?.encoding ?? []).toString(), 'binary/null');
    assert.deepEqual(openSealed(await opened(payload), 'answer discardPrevious', 0), {
      value: undefined,
      terms: { for: 'answer discardPrevious' },
    });
    assert.equal(await opened(await sealed(undefined)), undefined);
  });

  it('holds for one workflow, one activity, one namespace, and each byte of it', async () => {
    const payload = await sealed(sealedFor({ for: 'signal grant' }, { stage: 'production' }));
    const { metadata = {}, data } = payload;
    const activity = { ...of('rollout:app'), type: 'activity', activityId: '1', isLocal: false } as const;
    const changed: readonly [Payload, SerializationContext?, typeof worker?][] = [
      [payload, of('rollout:other')],
      [payload, activity],
      [await sealed('x', activity), { ...activity, activityId: '2' }],
      [payload, of('rollout:app'), createSealCodec('other', { keys: [key] }, 'worker')],
      [{ metadata, data: Buffer.from(textOf(payload).replace('production', 'productioN')) }],
      [{ metadata: { ...metadata, 'landfall-for': Buffer.from('{"for":"signal other"}') }, data: data ?? null }],
      [{ metadata: { ...metadata, encoding: Buffer.from('json/protobuf') }, data: data ?? null }],
      [{ metadata: { ...metadata, messageType: Buffer.from('x') }, data: data ?? null }],
      [{ metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from(JSON.stringify(sealedFor({ for: 'x' }, 1))) }],
      [payload, of('rollout:app'), createSealCodec('default', { keys: ['b'.repeat(32)] }, 'worker')],
    ];
    for (const [index, [one, context, codec]] of changed.entries()) {
      const value = await opened(one, context, codec);
      assert.ok(isUnsealed(value), `${index}: ${JSON.stringify(value)}`);
      assert.deepEqual(Object.keys(value), ['landfall'], 'what is not believed is not even seen');
    }
    assert.deepEqual((await opened(payload)) as SealedValue, sealedFor({ for: 'signal grant' }, { stage: 'production' }));
  });

  it('of a schedule holds for each of its runs, and what one of these left for the next', async () => {
    const payload = await sealed('x', of('search:ghcr.io'));
    assert.equal(await opened(payload, of('search:ghcr.io-2026-11-29T12:00:00Z')), 'x');
    assert.equal(
      await opened(await sealed('y', of('search:ghcr.io-2026-11-29T12:00:00Z')), of('search:ghcr.io-2026-11-29T12:05:00Z')),
      'y',
    );
    assert.ok(isUnsealed(await opened(payload, of('search:quay.io-2026-11-29T12:00:00Z'))));
    const rollout = await sealed('x', of('rollout:app'));
    assert.ok(isUnsealed(await opened(rollout, of('rollout:app-2026-11-29T12:00:00Z'))));
  });

  it('is asked for of what came since there are seals, or a new key, and of nothing from before', async () => {
    const since = new Date('2026-11-29T00:00:00Z');
    const codec = createSealCodec('default', { keys: ['b'.repeat(32)], since }, 'worker');
    const old = [
      [defaultPayloadConverter.toPayload({ plan: 'old' }), /^it has no seal$/],
      [await sealed(sealedFor({ for: 'start rollout', at: 0 }, { plan: 'old' })), /^its seal is of another key/],
    ] as const;
    for (const [payload, why] of old) {
      const value = await opened(payload, of('rollout:app'), codec);
      assert.deepEqual(openSealed(value, 'start rollout', since.getTime() - 1), { value: { plan: 'old' } });
      const check = openSealed(value, 'start rollout', since.getTime());
      assert.match('refused' in check ? check.refused : '', why);
    }
  });
});
