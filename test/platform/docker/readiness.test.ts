import assert from 'node:assert/strict';
import Docker from 'dockerode';
import { askPort } from '../../../src/platform/docker/ask.ts';
import {
  createProbe,
  createWakeUp,
  judge,
  keepAsking,
  type ReadinessObservation,
  type State,
} from '../../../src/platform/docker/readiness.ts';

describe('judge', () => {
  const nothing: ReadinessObservation = { proven: false, stayedUp: false, timedOut: false, isOneShot: false, probe: undefined };
  const probe = { kind: 'http' as const, what: 'http port 80 /' };
  const running: State = {
    Running: true,
    OOMKilled: false,
    ExitCode: 0,
    Error: '',
    StartedAt: '2030-01-01T00:00:00Z',
    FinishedAt: '0001-01-01T00:00:00Z',
  };
  const exited = { ...running, Running: false };
  const health = (Status: string): State => ({ ...running, Health: { Status, FailingStreak: 0, Log: [] } });
  const all = { proven: true, stayedUp: true, timedOut: true };

  const table: readonly (readonly [claim: string, State, Partial<ReadinessObservation>, unknown])[] = [
    ['waits for what is still starting', running, {}, undefined],
    ['believes an exit before everything else', exited, { ...all, probe }, { kind: 'exited' }],
    ['believes unhealthy before the probe', health('unhealthy'), { proven: true, probe }, { kind: 'unhealthy' }],
    ['is satisfied by the probe', running, { proven: true, probe }, { kind: 'ready', by: 'http' }],
    ['is satisfied by the probe at the last moment', running, { ...all, probe }, { kind: 'ready', by: 'http' }],
    ['does not take healthy for the probe', health('healthy'), { stayedUp: true, probe }, undefined],
    ['does not take staying up for the probe', running, { stayedUp: true, timedOut: true, probe }, { kind: 'timed-out' }],
    ['is satisfied by healthy without a probe', health('healthy'), {}, { kind: 'ready', by: 'healthcheck' }],
    ['does not take staying up for healthy', health('starting'), { stayedUp: true }, undefined],
    ['gives up on starting', health('starting'), { stayedUp: true, timedOut: true }, { kind: 'timed-out' }],
    ['is satisfied by staying up without probe and HEALTHCHECK', running, { stayedUp: true }, { kind: 'ready', by: 'stayUp' }],
    [
      'waits for the end of a run, healthy or not',
      health('unhealthy'),
      { proven: true, stayedUp: true, isOneShot: true },
      undefined,
    ],
    ['gives up on a run', running, { ...all, isOneShot: true }, { kind: 'timed-out' }],
    ['believes the end of a run', exited, { ...all, isOneShot: true }, { kind: 'exited' }],
    ['takes HEALTHCHECK NONE for none', health('none'), { stayedUp: true }, { kind: 'ready', by: 'stayUp' }],
  ];
  for (const [claim, state, observed, expected] of table) {
    it(claim, () => assert.deepEqual(judge(state, { ...nothing, ...observed }), expected));
  }
});

describe('a bell', () => {
  it('wakes whoever waits, and does not let the next one wait who came late', async () => {
    const bell = createWakeUp();
    const waiting = bell.wait();
    bell.trigger();
    await waiting;
    bell.trigger();
    bell.trigger();
    await bell.wait();
    const third = bell.wait().then(() => 'woken');
    assert.equal(await Promise.race([third, new Promise((resolve) => setImmediate(resolve, 'waits'))]), 'waits');
    bell.trigger();
    assert.equal(await third, 'woken');
  });
});

describe('asking whether a container is ready', () => {
  it('takes a question that cannot even be asked for no answer, and fails nobody who does not listen', async () => {
    const asked = { kind: 'http', port: 80, path: '/a path with spaces' } as const;
    const address = { host: '127.0.0.1', port: 1, proxied: false };
    const probe = createProbe(asked, new Docker().getContainer('any'), (signal) => askPort(asked, address, signal));
    assert.ok(probe);
    const over = new AbortController();
    let found = '';
    const missed = (what: string) => {
      found = what;
      over.abort();
    };
    await keepAsking(probe, over.signal, () => assert.fail('it was answered'), missed);
    assert.match(found, /path contains unescaped characters/);
  });
});
