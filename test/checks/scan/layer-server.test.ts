import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Repository } from '../../../src/domain/image-reference.ts';
import { critical, harmful, layerScans, npm } from '../../support/layer-scans.ts';
import { blobOf } from '../../support/layered-images.ts';
import { trivyProgram } from '../../support/scanner.ts';

describe('the server that remembers layers', function () {
  this.timeout(60_000);
  const { host, warnings, scannerWith, scan, push, relayed, processesOf, allEnded, serverOf } = layerScans();

  it('judges them by the database of the moment', async () => {
    const relay = await relayed();
    const scanner = await scannerWith();
    const image = await push('team/database', [npm('ms', '1.0.0')]);
    const file = join(scanner.cacheDir, 'db', 'trivy.db');
    const metadata = join(scanner.cacheDir, 'db', 'metadata.json');
    const [old, oldMetadata] = [await readFile(file), await readFile(metadata, 'utf8')];
    // The advisory of ms, for no version, in as many bytes.
    const without = Buffer.from(old.toString('latin1').replaceAll('u003c2.0.0', 'u003c0.0.0'), 'latin1');
    assert.deepEqual(await scan(scanner, image, relay.host), ['CVE-2017-20162']);
    // In place, as somebody else may do it, and under the server that has it open.
    await writeFile(file, without);
    await writeFile(metadata, oldMetadata.replace('"UpdatedAt":"2026-01-01', '"UpdatedAt":"2026-01-02'));
    assert.deepEqual(await scan(scanner, image, relay.host), []);
    // As a new file, while the server keeps the old one.
    await writeFile(`${file}.new`, old);
    await rename(`${file}.new`, file);
    assert.deepEqual(await scan(scanner, image, relay.host), ['CVE-2017-20162']);
    assert.equal(relay.asked(blobOf(npm('ms', '1.0.0'))), 1);
  });

  it('judges by the database that a scan began with, and not at all by one that somebody writes into meanwhile', async () => {
    const scanner = await scannerWith();
    const image = await push('team/meanwhile', [npm('ms', '1.0.0')]);
    const file = join(scanner.cacheDir, 'db', 'trivy.db');
    const content = await readFile(file);
    const without = Buffer.from(content.toString('latin1').replaceAll('u003c2.0.0', 'u003c0.0.0'), 'latin1');
    let meanwhile: () => Promise<void> = async () => {
      await writeFile(`${file}.new`, without);
      await rename(`${file}.new`, file);
    };
    const relay = await relayed(async (path) => {
      if (path.endsWith(blobOf(npm('ms', '1.0.0')))) await meanwhile();
      return undefined;
    });
    assert.deepEqual(await scan(scanner, image, relay.host), ['CVE-2017-20162']);
    assert.deepEqual(await scan(scanner, image, relay.host), []);
    meanwhile = () => writeFile(file, content);
    const again = await relayed(async () => void (await meanwhile()));
    await assert.rejects(scan(scanner, image, again.host), /database was (?:written anew|replaced) while/);
  });

  it('forgets them when they take more than they may, with what was noted of them', async () => {
    const relay = await relayed();
    const scanner = await scannerWith({ mostBytes: 4096 });
    const image = await push('team/large', [harmful]);
    for (const time of [1, 2]) {
      assert.deepEqual(await scan(scanner, image, relay.host), [critical]);
      assert.deepEqual([relay.asked(blobOf(harmful)), await processesOf(scanner.cacheDir)], [time, []]);
    }
    const records = await readdir(join(scanner.cacheDir, 'layers', 'records'));
    assert.equal(records.length, 2);
  });

  it('forgets them where this machine kept Trivy from looking at all of one', async () => {
    const relay = await relayed();
    const { cacheDir } = await scannerWith();
    const full = join(cacheDir, 'full');
    await writeFile(full, '');
    const said = `echo 'WARN Analysis error err="write /tmp/x: no space left on device"' >&2`;
    const script = `"$0" "$@" && if [ -e '${full}' -a "$1" = image ]; then ${said}; fi`;
    const scanner = await scannerWith({}, { cacheDir, database: false, command: ['/bin/sh', '-c', script, trivyProgram()] });
    const image = await push('team/full', [harmful]);
    await assert.rejects(scan(scanner, image, relay.host), /could not look at every file \(no space left on device\)/);
    await rm(full);
    assert.deepEqual([await scan(scanner, image, relay.host), relay.asked(blobOf(harmful))], [[critical], 2]);
  });

  it('is done without where another process has its folder', async () => {
    const first = await scannerWith();
    const image = await push('team/taken', [harmful]);
    await scan(first, image);
    const second = await scannerWith({}, { cacheDir: first.cacheDir, database: false });
    for (const time of [1, 2]) assert.deepEqual(await scan(second, image), [critical], `time ${time}`);
    const told = warnings.splice(0);
    assert.equal(told.length, 1);
    assert.match(
      told[0] ?? '',
      /cannot be started: .*in use by another Landfall \(process .*; meanwhile every layer of every image/,
    );
  });

  it('is done without where the version of Trivy is not known to do as expected', async () => {
    const server = `const [at] = process.argv.slice(1); require('node:http').createServer((_, answer) => answer.end('{"Version":"0.77.0"}')).listen(at.split(':')[1], '127.0.0.1')`;
    const script = `if [ "$1" = server ]; then echo x >> "$HOME/starts"; exec '${process.execPath}' -e "$NODE" "$3"; fi; exec "$0" "$@"`;
    const scanner = await scannerWith(
      {},
      { command: ['/bin/sh', '-c', `NODE='${server.replaceAll("'", `'"'"'`)}'; ${script}`, trivyProgram()] },
    );
    const image = await push('team/other', [harmful]);
    for (const time of [1, 2]) assert.deepEqual(await scan(scanner, image), [critical], `time ${time}`);
    assert.equal(await readFile(join(scanner.options.env.HOME ?? '', 'starts'), 'utf8'), 'x\n');
    assert.match(
      warnings.splice(0).join('\n'),
      /^the Trivy server .*: Trivy 0\.77\.0 may know layers by other things.*; meanwhile .*$/,
    );
  });

  it('is ended when nothing was scanned for a while', async () => {
    const scanner = await scannerWith({ idleMs: 20 });
    await scan(scanner, await push('team/idle', [harmful]));
    await allEnded(scanner.cacheDir);
  });

  it('is another one after it was killed in the midst of a scan, which is to be tried again', async () => {
    const layer = npm('ms', '1.0.0', { 'app/large': 'x'.repeat(100_000) });
    const [image, next] = [await push('team/killed', [harmful, layer]), await push('team/killed', [harmful])];
    const scanner = await scannerWith();
    let first: number | undefined;
    const relay = await relayed(async (path, body) => {
      if (!path.endsWith(blobOf(layer)) || first !== undefined) return body;
      first = await serverOf(scanner);
      process.kill(first, 'SIGKILL');
      return body;
    });
    await assert.rejects(scan(scanner, image, relay.host), /server beside the worker ended by itself.*it is scanned again/);
    // By itself, because it might have been the reason; and then with another server.
    assert.deepEqual(await scan(scanner, image, relay.host), ['CVE-2017-20162', critical]);
    await allEnded(scanner.cacheDir);
    assert.deepEqual(await scan(scanner, image, relay.host), ['CVE-2017-20162', critical]);
    assert.deepEqual(await scan(scanner, next, relay.host), [critical]);
    assert.notEqual(await serverOf(scanner), first);
  });

  it('is left to others by a scan that is cancelled', async () => {
    const scanner = await scannerWith();
    const image = await push('team/cancelled', [harmful]);
    const cancel = new AbortController();
    const relay = await relayed((path) => {
      if (path.endsWith(blobOf(harmful))) cancel.abort(new Error('cancelled'));
      return undefined;
    });
    const cancelled = scanner.artifacts.withWorkFolder((folder) => {
      const files = { report: join(folder, 'trivy.json'), sbom: join(folder, 'sbom.json') };
      const repository = `${relay.host}/${image.name}` as Repository;
      return scanner.trivy.scan({ repository, digest: image.digest }, files, cancel.signal);
    });
    await assert.rejects(cancelled, /^Error: cancelled$/);
    const server = await serverOf(scanner);
    assert.deepEqual(await scan(scanner, image, relay.host), [critical]);
    assert.equal(await serverOf(scanner), server);
    await scanner.trivy.stop();
    await allEnded(scanner.cacheDir);
  });

  it('does not outlive a worker that is killed', async () => {
    const { cacheDir } = await scannerWith();
    const { name, digest } = await push('team/orphan', [harmful]);
    const script = fileURLToPath(new URL('../../support/layer-parent.ts', import.meta.url));
    const words = [script, cacheDir, `${host()}/${name}@${digest}`];
    // What it makes is removed with the folder.
    const env = { ...process.env, TMPDIR: cacheDir };
    const parent: ChildProcess = spawn(process.execPath, words, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    const [said] = await once(parent.stdout ?? assert.fail(), 'data');
    assert.equal(String(said), 'scanned\n');
    assert.ok((await processesOf(cacheDir)).length > 0);
    const gone = once(parent, 'exit');
    parent.kill('SIGKILL');
    await gone;
    await allEnded(cacheDir);
  });
});
