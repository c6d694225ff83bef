/** Runs alone: it measures how soon deliveries are answered, and what it attacks with takes what the machine has. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { githubSecret, type Ingress, startIngress } from './support/ingress.ts';
import { githubSignature, smallestGithubEvent } from './support/vectors.ts';

const path = '/webhook/image-published';
const body = JSON.stringify(smallestGithubEvent);
const proof = { 'Content-Type': 'application/json', 'X-GitHub-Event': 'package', ...githubSignature(githubSecret, body) };
/** With what can be a signature, so that the body is waited for. */
const slow = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Hub-Signature-256: sha256=${'0'.repeat(64)}\r\nContent-Length: 100\r\n\r\n`;
const program = fileURLToPath(new URL('./support/attacker.ts', import.meta.url));
const connections = 10_000;

describe('the listener under attack', function () {
  this.timeout(60_000);
  let ingress: Ingress;
  let attacker: ChildProcess | undefined;
  beforeEach(async () => {
    const acceptPushes = () => async () => ({ rollouts: [{ id: 'r', service: 's', image: 'i' }], resolving: [] });
    ingress = await startIngress({ acceptPushes, limits: { inWork: 128 } });
  });
  afterEach(async () => {
    attacker?.kill('SIGKILL');
    await ingress.listeners.stop();
  });

  for (const [what, text] of [
    ['idle', ''],
    ['slow', slow],
    ['slow after the first byte', `${slow}{`],
  ] as const) {
    it(`accepts every signed delivery within 2 s, while ${connections} connections of one address are ${what}`, async () => {
      attacker = fork(program, [String(ingress.port), '127.0.0.2', String(connections), text]);
      let isOver = false;
      attacker.once('message', () => {
        isOver = true;
      });
      let sent = 0;
      for (; !isOver || sent < 40; sent += 1) {
        const begun = performance.now();
        assert.equal(await deliver(ingress.port), 202);
        const took = performance.now() - begun;
        assert.ok(took < 2_000, `delivery ${sent} took ${Math.round(took)} ms`);
        await pause(20);
      }
      const told = ingress.written().match(/too many connections/g) ?? [];
      assert.ok(told.length > 0 && told.length < 200, `${told.length} lines about connections`);
      assert.match(ingress.written(), /"address":"127\.0\.0\.2"/);
    });
  }
});

/** Over a connection of its own. */
function deliver(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: '127.0.0.1', path, method: 'POST', headers: proof, agent: false }, (answer) => {
      answer.resume().once('end', () => resolve(answer.statusCode ?? 0));
    });
    sent.once('error', reject).end(body);
  });
}
