import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Refused, readAudit } from '../../src/operations/index.ts';

describe('reading the audit log', () => {
  it('fails where the folder cannot be listed, since rotated files would be left out without a word', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'landfall-audit-'));
    const logs = join(folder, 'logs');
    await mkdir(logs);
    const file = join(logs, 'log.jsonl');
    await writeFile(file, '');
    await writeFile(`${file}.1`, '');
    const read = () => readAudit({ audit: { file, bytes: 1, keep: 1 } }, {}, () => undefined);
    await read();
    await chmod(folder, 0o711);
    await chmod(logs, 0o311);
    try {
      await asNobody(() => assert.rejects(read, (error) => error instanceof Refused && error.message.includes(logs)));
    } finally {
      await chmod(logs, 0o700);
      await rm(folder, { recursive: true });
    }
  });
});

/** Root may read everything. */
async function asNobody(work: () => Promise<void>): Promise<void> {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  try {
    await work();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}
