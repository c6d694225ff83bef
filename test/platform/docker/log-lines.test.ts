import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createMask, demultiplex, lastLines, readLog } from '../../../src/platform/docker/log-lines.ts';
import { ensureDocker } from '../../support/docker.ts';
import { pushImage } from '../../support/images.ts';
import { startRegistry } from '../../support/registry.ts';

describe('log lines', () => {
  const plain = createMask([]);
  const frame = (stream: number, text: string) => {
    const content = Buffer.from(text);
    const header = Buffer.alloc(8);
    header[0] = stream;
    header.writeUInt32BE(content.length, 4);
    return Buffer.concat([header, content]);
  };

  it('are taken out of their frames in the order in which they came', () => {
    const bytes = Buffer.concat([frame(1, 'one\n'), frame(2, 'two\n'), frame(1, ''), frame(1, 'three\n')]);
    assert.equal(demultiplex(bytes).toString(), 'one\ntwo\nthree\n');
  });

  it('lose nothing but what is missing where the last frame is cut', () => {
    assert.equal(demultiplex(frame(1, 'whole line').subarray(0, 12)).toString(), 'whol');
    assert.equal(demultiplex(Buffer.concat([frame(1, 'a'), Buffer.from([1, 0])])).toString(), 'a');
  });

  it('are the last 50', () => {
    const lines = Array.from({ length: 80 }, (_, index) => `line ${index}`);
    assert.deepEqual(lastLines(Buffer.from(`${lines.join('\n')}\n\n`), plain).split('\n'), lines.slice(30));
  });

  it('are at most 4 KiB and whole characters, whatever the log holds', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', minLength: 0, maxLength: 3000 }),
        fc.uint8Array({ maxLength: 50 }),
        (text, bytes) => {
          const kept = lastLines(Buffer.concat([Buffer.from(bytes), Buffer.from(text.repeat(3))]), plain);
          assert.ok(Buffer.byteLength(kept) <= 4096);
          assert.equal(Buffer.from(kept).toString('utf8'), kept);
        },
      ),
    );
    const kept = lastLines(Buffer.from('é'.repeat(5000)), plain);
    assert.equal(kept, 'é'.repeat(2048));
    assert.equal(lastLines(Buffer.from(`x${'€'.repeat(5000)}`), plain), '€'.repeat(1365));
  });

  it('cannot steer a terminal that shows them', () => {
    const text = '\u001b[31mred\u001b[0m \u001b]0;title\u0007bell\u0007 back\u0008 tab\there\r\n\u009b31mnext';
    assert.equal(lastLines(Buffer.from(text), plain), 'red bell back tab\there\n31mnext');
  });

  it('show no secret, not even the last line of one', () => {
    const mask = createMask(['hunter2', 'hunter2-and-more', 'BEGIN\n  c2VjcmV0\nEND', '']);
    assert.equal(
      lastLines(Buffer.from('a hunter2-and-more b hunter2\nc2VjcmV0\nEND\n'), mask),
      'a [masked] b [masked]\n[masked]\n[masked]',
    );
  });

  it('show no secret that colours tear apart', () => {
    assert.equal(lastLines(Buffer.from('am s'), createMask(['a', 'm', 's'])), '[masked][masked] [masked]');
    assert.equal(lastLines(Buffer.from('hunt\u001b[1mer2'), createMask(['hunter2'])), '[masked]');
  });

  describe('of a container with a terminal', function () {
    this.timeout(30_000);
    it('are read as they are, even where they are JSON', async () => {
      const docker = await ensureDocker();
      const registry = await startRegistry();
      const digest = await pushImage(registry, 'terminal', 'latest', { busybox: true, cmd: ['echo', '{"level":"info"}'] });
      const reference = `${registry.host}/terminal@${digest}`;
      const pulling = await docker.pull(reference);
      await new Promise((resolve) => docker.modem.followProgress(pulling, resolve));
      const container = await docker.createContainer({ Image: reference, Tty: true });
      try {
        await container.start();
        await container.wait();
        assert.equal(lastLines(await readLog(docker, container.id, true), plain), '{"level":"info"}');
      } finally {
        await container.remove({ force: true, v: true });
        await docker.getImage(reference).remove();
        await registry.stop();
      }
    });
  });
});
