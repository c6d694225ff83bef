import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { againProblems, evidence, problemsWith, rollbackProblems } from '../../scripts/demo/outcomes.ts';
import { parseReference } from '../../src/domain/image-reference.ts';
import type { RolloutState, StepState } from '../../src/domain/rollout-state.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const time = '2026-01-01T00:00:00Z';

function rollout(service: string, status: RolloutState['status'], steps: StepState[] = []): RolloutState {
  const { repository, tag, digest: parsed } = parseReference(`127.0.0.1:5001/demo/${service}:latest@${digest}`);
  assert.ok(tag && parsed);
  return { service, status, steps, image: { repository, tag, digest: parsed }, proposals: {}, startedAt: time, changedAt: time };
}

const web = rollout('web', 'delivered');
const shop = rollout('shop', 'blocked', [{ step: 'scan', status: 'blocked', reason: 'critical: CVE-2021-44906' }]);
const mailer = rollout('mailer', 'blocked', [
  { step: 'smoke', status: 'blocked', details: { log: 'no host in /etc/mailer.conf' } },
]);
const diff = `--- a/f\n+++ b/f\n-  image: 127.0.0.1:5001/demo/web:1\n+  image: 127.0.0.1:5001/demo/web:latest@${digest}\n`;
const branches = ['main'];

describe('the demo', () => {
  it('is content with the promised outcomes only', () => {
    assert.deepEqual(problemsWith([web, shop, mailer], diff, branches), []);
    assert.match(problemsWith([shop, mailer], diff, branches)[0] ?? '', /web: expected delivered, found no rollout/);
    assert.match(problemsWith([web, rollout('shop', 'proposed'), mailer], diff, branches)[0] ?? '', /shop: expected blocked/);
    const elsewhere = rollout('mailer', 'blocked', [{ step: 'verify', status: 'blocked' }]);
    assert.match(problemsWith([web, shop, elsewhere], diff, branches)[0] ?? '', /blocked at smoke, found it blocked at verify/);
  });

  it('is not content with a second changed line, another digest, or another branch', () => {
    assert.match(problemsWith([web, shop, mailer], `${diff}+  more: true\n`, branches)[0] ?? '', /one changed line .* 2 added/);
    assert.match(problemsWith([web, shop, mailer], diff.replace(digest, 'sha256:b'), branches)[0] ?? '', /one changed line/);
    assert.match(
      problemsWith([web, shop, mailer], diff, [...branches, 'landfall/shop-production'])[0] ?? '',
      /main and no other/,
    );
  });

  it('wants everything to be as before a rollback, and untouched by a quarantined image', () => {
    const good = { container: '1', image: `web:latest@${digest}`, health: '200 well', file: 'a\n' };
    const back = { ...good, container: '2', image: `web@${digest}` };
    const state = { ...rollout('web', 'rolled-back'), reason: 'healthy 1.2 s after the verdict' };
    assert.deepEqual(rollbackProblems(state, good, back), []);
    assert.match(rollbackProblems(rollout('web', 'delivered'), good, back)[0] ?? '', /expected rolled-back, found delivered/);
    assert.match(rollbackProblems(state, good, { ...back, health: '404' })[0] ?? '', /expected health as before/);
    assert.match(rollbackProblems(state, good, { ...back, file: 'b\n' })[0] ?? '', /expected file as before/);
    const rejected = { ...rollout('web', 'rejected'), reason: 'Quarantined: it was bad' };
    assert.deepEqual(againProblems(rejected, back, back), []);
    assert.match(againProblems(rejected, back, { ...back, container: '3' })[0] ?? '', /untouched container/);
    assert.match(againProblems(web, back, back)[0] ?? '', /expected rejected as quarantined/);
  });

  it('shows findings and log lines as a person reads them', () => {
    assert.equal(
      evidence([{ title: 'Smoke-tested', passed: false, text: 'exit code 3', log: 'fatal: no host' }]),
      'fatal: no host\nexit code 3',
    );
    const rows = [['critical', 'CVE-1', 'a 1', 'no fix yet', '']];
    assert.equal(evidence([{ title: 'Scanned', passed: false, text: '1 critical', rows }]), 'critical  CVE-1  a 1  no fix yet');
  });

  it('pushes real images, prints their outcomes, rolls the last one back, and exits 0', async function () {
    this.timeout(360_000);
    const script = fileURLToPath(new URL('../../scripts/demo.mjs', import.meta.url));
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        said += chunk;
      });
    const [code] = await once(child, 'close');
    assert.equal(code, 0, said);
    assert.match(said, /web: delivered/);
    assert.match(said, /web: rolled-back[\s\S]*healthy \d+\.\d s after the verdict/);
    assert.match(said, /rejected: Quarantined/);
    assert.match(said, /shop: blocked[\s\S]*CVE-2021-44906/);
    assert.match(said, /mailer: blocked[\s\S]*no host in \/etc\/mailer\.conf/);
    assert.match(said, /\+ {4}image: \S+\/demo\/web:latest@sha256:[0-9a-f]{64} {3}# the shop window/);
  });
});
