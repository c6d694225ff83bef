import assert from 'node:assert/strict';
import { pino, stdTimeFunctions } from 'pino';
import { auditText, type DecisionEntry, type RequestEntry, type SearchEntry } from '../../src/domain/audit.ts';
import type { ProgressEntry } from '../../src/domain/progress.ts';
import { createProgressLog } from '../../src/telemetry/progress-log.ts';
import { terminalLines } from '../../src/telemetry/terminal-lines.ts';
import { imageOf, planOf } from '../support/plans.ts';

const image = imageOf(planOf(), 'web', '1.2.0');
const { digest } = image;
const entry: ProgressEntry = {
  at: '2026-11-29T12:00:00.000Z',
  rollout: 'rollout:web:1.2.0:3f3f3f3f3f3f',
  service: 'web',
  image,
  status: 'running',
  sincePushMs: 2_000,
};
const times = { startedAt: '2026-11-29T12:00:00.000Z', endedAt: '2026-11-29T12:00:01.234Z' };
const deployed: ProgressEntry = {
  ...entry,
  step: { step: 'deploy', stage: 'production', status: 'passed', reason: 'recreated web-1', ...times },
};

/** What the log has of these, for a collector and for a terminal. */
function logged(...entries: readonly ProgressEntry[]) {
  const written = (isTerminal: boolean): string => {
    let lines = '';
    const log = pino(
      { timestamp: stdTimeFunctions.isoTime },
      {
        write: (line: string) => {
          lines += line;
        },
      },
    );
    for (const each of entries) createProgressLog(log, isTerminal)(each);
    return lines;
  };
  const json = written(false);
  return {
    json: json
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>),
    human: terminalLines(written(true)).split('\n').filter(Boolean),
  };
}

const decision: DecisionEntry = {
  ...{ timestamp: '2026-11-29T12:00:00.000Z', event_type: 'decision_made', source: 'operator', outcome: 'accepted' },
  ...{ status: 'accepted', services: ['web'], images: [], repositories: [], action: 'approve', by: 'ann', stage: 'production' },
  ...{ reason: 'looks good', workflow: entry.rollout },
};
const request: RequestEntry = {
  ...{ timestamp: '2026-11-29T12:00:00.000Z', event_type: 'webhook_received', source: 'quay', outcome: 'accepted', status: 202 },
  ...{ services: ['web'], images: [], repositories: [], action: null, rollouts: [entry.rollout], resolving: [] },
  ...{ remote_address: '192.0.2.7', duration_ms: 3 },
};
const search: SearchEntry = {
  ...{ timestamp: '2026-11-29T12:00:00.000Z', event_type: 'registry_searched', source: 'search', outcome: 'nothing-new' },
  ...{ status: 'searched', services: [], images: [], repositories: [], action: null, registry: 'ghcr.io', found: [] },
};

describe('the log', () => {
  it('has one line for a step and one for a verdict, with all that a collector can ask for', () => {
    const { json } = logged(deployed, { ...entry, status: 'rolled-back', reason: 'unhealthy' });
    const about = { rollout: entry.rollout, service: 'web', image: `${image.repository}:1.2.0`, digest };
    const [step, verdict] = json.map(({ time, pid: _pid, hostname: _host, mark: _mark, ...line }) => {
      assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      return line;
    });
    const fields = { step: 'deploy', stage: 'production', status: 'passed', seconds: 1.234, reason: 'recreated web-1' };
    assert.deepEqual(step, { level: 30, ...about, ...fields, msg: 'deploy (production) passed (1.2 s): recreated web-1' });
    assert.deepEqual(verdict, {
      ...{ level: 40, ...about, verdict: 'rolled-back', reason: 'unhealthy', msg: 'rolled-back: unhealthy' },
    });
  });

  it('says at a terminal when a step begins, too, and what it waits for', () => {
    const beginning: ProgressEntry = { ...entry, step: { step: 'scan', status: 'running', startedAt: times.startedAt } };
    const waiting: ProgressEntry = { ...entry, status: 'waiting', reason: 'the turn of production, behind another' };
    const { json, human } = logged(beginning, deployed, waiting, { ...entry, status: 'delivered', reason: 'production' });
    assert.equal(json.length, 3);
    for (const line of human) assert.match(line, /^\d\d:\d\d:\d\d {2}web {5}\S /);
    assert.deepEqual(
      human.map((line) => line.slice(10)),
      [
        'web     … scan running',
        'web     ✔ deploy (production) passed (1.2 s): recreated web-1',
        'web     · waiting: the turn of production, behind another',
        'web     ● delivered: production',
      ],
    );
  });

  it('shows at a terminal what was asked, and decided, and leaves out searches that found nothing', () => {
    const lines = [decision, request, search].map(auditText).join('\n');
    assert.deepEqual(
      terminalLines(`${lines}\n`)
        .split('\n')
        .map((line) => line.slice(10)),
      ['web     ! approve production by ann: looks good', `quay    → webhook accepted: ${entry.rollout}`, ''],
    );
  });

  it('lets nothing from outside move a cursor or pretend to be another line', () => {
    const hostile = {
      ...deployed,
      step: { step: 'deploy', status: 'blocked' as const, reason: '\u001b[2J\n12:00:00  web \u202e●' },
    };
    const { human } = logged(hostile);
    assert.equal(human.length, 1);
    assert.doesNotMatch(human[0] ?? '', /[\p{Cc}\p{Cf}]/u);
    const line = terminalLines('{"level":50,"msg":"\\u001b]0;x\\u0007","reason":"a\\nb"}\n');
    assert.doesNotMatch(line.trimEnd(), /\p{Cc}/u);
  });

  it('passes on at a terminal what is no line of it', () => {
    assert.equal(terminalLines('a plain text\n'), 'a plain text\n');
  });
});
