import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { chmod, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { Agent, type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type EmbeddedTemporal, startEmbeddedTemporal } from '../../src/platform/temporal/embedded.ts';
import { findTool } from '../../src/platform/tools.mjs';
import { eventually } from '../support/wait.ts';

type Headers = Readonly<Record<string, string | readonly string[]>>;
const namespaces = '/api/v1/namespaces';

/** One server, in a folder that an older version left open to everybody. */
describe('the embedded Temporal, for whoever is not its owner', function () {
  this.timeout(60_000);
  let home: string;
  let folder: string;
  let outside: string;
  let server: EmbeddedTemporal;

  before(async () => {
    const command = findTool('temporal');
    assert.ok(command, 'the tests need the temporal command');
    // Not in a folder of temporary files that is for one user alone: others have to get as far as here.
    home = await mkdtemp('/tmp/landfall-open-');
    await chmod(home, 0o755);
    folder = join(home, 'data');
    outside = join(home, 'outside');
    await writeFile(outside, '');
    const start = () =>
      startEmbeddedTemporal({ folder, command, uiNames: ['Temporal.example.org'], searchAttributes: [], log: silent });
    server = await start();
    await server.stop();
    await openToAll();
    server = await start();
    // The page looks for the server behind it, and does not see it at once.
    await eventually('the page', async () => (await page({})).status === 200);
  });
  after(async () => {
    await server.stop();
    await rm(home, { recursive: true, force: true });
  });

  async function openToAll(): Promise<void> {
    await chmod(folder, 0o755);
    for (const name of await readdir(folder)) await chmod(join(folder, name), 0o644);
    await chmod(outside, 0o644);
    await symlink(outside, join(folder, 'temporal.link'));
  }

  const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

  /** Without `fetch`, which lets nobody say another Host. */
  async function ask(url: string, headers: Headers, { method = 'GET', body = '', agent = false as Agent | false } = {}) {
    const whole = { Host: new URL(url).host, ...headers };
    const raw = Object.entries(whole).flatMap(([name, values]) => [values].flat().flatMap((value) => [name, value]));
    const sent = request(new URL(url), { method, agent, headers: [...raw, 'Content-Length', String(body.length)] }).end(body);
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    return { status: answer.statusCode, body: await text(answer) };
  }

  const page = (headers: Headers, options = {}) => ask(`${server.uiUrl}${namespaces}`, headers, options);

  it('has its page at the names of this machine, and at the one that the configuration gives it', async () => {
    const { port } = new URL(server.uiUrl);
    for (const host of [
      `127.0.0.1:${port}`,
      `localhost:${port}`,
      'LOCALHOST',
      '[::1]:9',
      '127.1.2.3',
      'temporal.example.org',
      'temporal.example.org:443',
    ]) {
      const { status, body } = await page({ Host: host });
      assert.equal(status, 200, host);
      assert.match(body, /"name": ?"default"/);
    }
    assert.equal((await page({ Origin: server.uiUrl })).status, 200);
    const start = { workflowId: 'by-the-page', workflowType: { name: 'x' }, taskQueue: { name: 'nobody' } };
    const started = await ask(
      `${server.uiUrl}/api/v1/namespaces/default/workflows/by-the-page`,
      { Origin: server.uiUrl },
      {
        method: 'POST',
        body: JSON.stringify(start),
      },
    );
    // Its own protection against forged requests, or what it says of the start: either is the page's answer.
    assert.notEqual(started.status, 421);
  });

  for (const [what, headers] of [
    ['a name that was pointed at this machine', { Host: 'evil.example' }],
    ['one that begins with an address of loopback', { Host: '127.0.0.1.evil.example:8233' }],
    ['one that begins with localhost', { Host: 'localhost.evil.example' }],
    ['one that ends with the own name', { Host: 'evil-temporal.example.org' }],
    ['two names', { Host: ['localhost', 'evil.example'] }],
    ['a name in the place of a user', { Host: 'localhost@evil.example' }],
    ['an address of the network', { Host: '192.168.1.7:8233' }],
    ['none', { Host: '' }],
    ['another site that sends a form', { Origin: 'https://evil.example' }],
    ['a page without origin', { Origin: 'null' }],
  ] as const) {
    it(`refuses ${what}`, async () => {
      for (const method of ['GET', 'POST', 'OPTIONS']) {
        const { status, body } = await page(headers, { method });
        assert.ok(status === 421 || status === 400, `${method} got ${status}`);
        assert.doesNotMatch(body, /default/);
      }
    });
  }

  it('asks for the name with each request, not once for a connection', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    assert.equal((await page({ Host: 'localhost' }, { agent })).status, 200);
    assert.equal((await page({ Host: 'evil.example' }, { agent })).status, 421);
    agent.destroy();
  });

  it('takes orders at none of its ports from a page in a browser', async function () {
    if (process.platform !== 'linux') this.skip();
    const ports = portsOf(server.pid() ?? 0);
    assert.ok(ports.length >= 4, ports.join());
    let asked = 0;
    for (const at of ports) {
      const url = `http://${at}${namespaces}`;
      const answer = await ask(url, { Host: 'evil.example' }).catch(() => undefined);
      if (answer === undefined) continue;
      asked += 1;
      // Only its page would, and that is at an address that no page can guess.
      if (answer.status === 200) assert.doesNotMatch(at, /^127\.0\.0\.1:/);
    }
    assert.ok(asked >= 2, `${asked} of ${ports.join()} speak HTTP`);
  });

  it('keeps everything to its owner: the folder, the database with its journal, the log, what it remembers', async () => {
    assert.equal((await stat(folder)).mode & 0o777, 0o700);
    const names = await readdir(folder);
    for (const name of ['temporal.db', 'temporal.db-wal', 'temporal.db.json', 'temporal.json', 'temporal.log'])
      assert.ok(names.includes(name), name);
    for (const name of names.filter((each) => each !== 'temporal.link' && !each.endsWith('.sock')))
      assert.equal((await stat(join(folder, name))).mode & 0o777, 0o600, name);
    // What a link leads to may be anybody's.
    assert.equal((await stat(outside)).mode & 0o777, 0o644);
  });

  it('shows no file to another user of this machine', async function () {
    if (process.getuid?.() !== 0) this.skip();
    const read = `
      const { readdirSync, readFileSync } = require('node:fs');
      process.setgroups([]); process.setegid(65534); process.seteuid(65534);
      const seen = [];
      for (const name of ${JSON.stringify(['.', ...(await readdir(folder))])}) {
        try { name === '.' ? readdirSync(${JSON.stringify(folder)}) : readFileSync(${JSON.stringify(folder)} + '/' + name); seen.push(name); } catch {}
      }
      console.log(JSON.stringify([readFileSync(${JSON.stringify(outside)}, 'utf8'), seen]));`;
    assert.equal(execFileSync(process.execPath, ['-e', read], { encoding: 'utf8' }), '["",[]]\n');
  });
});

/** Where a process listens, as `127.0.0.1:7233`. */
function portsOf(pid: number): string[] {
  const held = new Set(readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`)));
  const lines = readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1);
  return lines.flatMap((line) => {
    const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/);
    if (state !== '0A' || !held.has(`socket:[${inode}]`)) return [];
    const [address = '', port = ''] = local.split(':');
    return [`${Buffer.from(address, 'hex').reverse().join('.')}:${Number.parseInt(port, 16)}`];
  });
}
