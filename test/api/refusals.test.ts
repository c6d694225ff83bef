import assert from 'node:assert/strict';
import { pino } from 'pino';
import { thinRefusals } from '../../src/api/webhooks/receive.ts';
import { answer, answerErrors, createApp } from '../../src/http/app.ts';
import { malformed, Problem } from '../../src/http/problem.ts';
import { startHttpServer } from '../support/http-server.ts';
import { eventually } from '../support/wait.ts';
import { startIngress } from './support/ingress.ts';

const github = '/webhook/image-published';
const wronglySigned = { 'Content-Type': 'application/json', 'X-Hub-Signature-256': `sha256=${'0'.repeat(64)}` };

describe('refusals in the log', () => {
  /** What is logged, and how many requests that stands for. */
  const aLog = (everyMs?: number) => {
    const lines: Record<string, unknown>[] = [];
    const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>);
    const log = pino({ base: null, timestamp: false }, { write });
    const refuse = thinRefusals(log, { source: 'github', refusedInLog: 'refused' }, everyMs);
    const counted = () => lines.reduce((sum, { omitted = 1 }) => sum + Number(omitted), 0);
    return { lines, refuse, counted };
  };

  it('are one line each, with source, reason and address, where they are few', () => {
    const { lines, refuse } = aLog();
    refuse('no signature', '192.0.2.1');
    refuse('another', '192.0.2.2');
    assert.deepEqual(lines, [
      { level: 40, source: 'github', reason: 'no signature', address: '192.0.2.1', msg: 'refused' },
      { level: 40, source: 'github', reason: 'another', address: '192.0.2.2', msg: 'refused' },
    ]);
  });

  it('are the first of a flood, and then the number of the others', async () => {
    const { lines, refuse, counted } = aLog(20);
    for (let count = 0; count < 5_000; count += 1) refuse('no signature', '192.0.2.1');
    assert.equal(lines.length, 20);
    await eventually('the number of the others', async () => lines.length === 21);
    assert.deepEqual([lines.at(-1)?.source, lines.at(-1)?.omitted], ['github', 4_980]);
    assert.equal(counted(), 5_000);
    refuse('no signature', '192.0.2.9');
    assert.equal(lines.at(-1)?.address, '192.0.2.9');
  });

  it('are each told to the audit log all the same, which counts them', async () => {
    const { post, audited, written, listeners } = await startIngress();
    try {
      const answers = await Promise.all(Array.from({ length: 120 }, () => post(github, '{}', wronglySigned)));
      const bodies = await Promise.all(answers.map((answer) => answer.text()));
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [401]);
      assert.equal(new Set(bodies).size, 1);
      assert.equal(audited().filter(({ outcome, status }) => outcome === 'unauthenticated' && status === 401).length, 120);
      assert.ok((written().match(/a request was refused/g) ?? []).length < 120);
    } finally {
      await listeners.stop();
    }
  });
});

describe('a problem', () => {
  it('is the only answer where it is answered at once, also if it says that nothing is there', async () => {
    const lines: string[] = [];
    const log = pino({}, { write: (line: string) => void lines.push(line) });
    const app = createApp(log).use(answerErrors(log));
    app.use((context) => answer(context, new Problem(404, 'unauthenticated', 'Expected a secret.')));
    const handle = app.callback();
    const server = await startHttpServer((request, response) => handle(request, response));
    try {
      const found = await fetch(`http://${server.host}/somewhere`);
      const { detail } = (await found.json()) as { detail: string };
      assert.deepEqual([found.status, detail, lines], [404, 'Expected a secret.', []]);
    } finally {
      await server.stop();
    }
  });

  it('has no stack, which nobody reads, and leaves other errors theirs', () => {
    assert.doesNotMatch(malformed('x').stack ?? '', /\n\s+at /);
    assert.doesNotMatch(malformed('x').withStatus(422).stack ?? '', /\n\s+at /);
    assert.match(new Error('x').stack ?? '', /\n\s+at /);
  });

  it('is written once, however often it is shown', () => {
    const problem = new Problem(401, 'unauthenticated', 'Expected "this".');
    assert.equal(problem.body, problem.body);
    assert.deepEqual(JSON.parse(problem.body), {
      type: 'about:blank',
      title: 'Unauthorized',
      status: 401,
      detail: 'Expected "this".',
    });
  });
});
