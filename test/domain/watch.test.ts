import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Reading } from '../../src/domain/outcomes.ts';
import {
  beginWatch,
  type Observation,
  observe,
  resumeWatch,
  unhealthyDetails,
  unhealthyText,
  type WatchState,
  type WatchVerdict,
  watchVerdict,
} from '../../src/domain/watch.ts';

type Kind = Observation['kind'];
const times = { forMs: 60_000, failures: 2, startPeriodMs: 30_000, withinMs: 600_000 };

let count = 0;
function reading(kind: Kind): Reading {
  count += 1;
  return { at: new Date(count * 1000).toISOString(), healthy: kind === 'good', text: `answered ${kind}`, tookMs: count % 7 };
}

/** Feeds observations until a verdict. */
function run(plan: typeof times, looks: readonly (readonly [kind: Kind, afterMs: number])[], begin = beginWatch(plan)) {
  let state: WatchState = begin;
  let verdict: WatchVerdict | undefined;
  let used = 0;
  for (const [kind, afterMs] of looks) {
    state = observe(plan, state, { kind, afterMs, reading: reading(kind) });
    used += 1;
    verdict = watchVerdict(plan, state);
    if (verdict !== undefined) break;
  }
  return { state, verdict, used };
}

/** Every ten seconds: `g`ood, `b`ad, `n`one, `a`way. */
function looks(text: string): (readonly [Kind, number])[] {
  const kinds: Record<string, Kind> = { g: 'good', b: 'bad', n: 'none', a: 'away', r: 'refused' };
  return [...text].map((letter) => [kinds[letter] ?? 'none', 10_000] as const);
}

describe('watch', () => {
  const verdictOf = (text: string, plan = times) => {
    const { verdict, used } = run(plan, looks(text));
    return verdict === undefined ? 'none' : `${verdict.kind === 'healthy' ? 'healthy' : verdict.because} at ${used}`;
  };

  it('is healthy once it was good for the whole time', () => {
    assert.equal(verdictOf('ggggggg'), 'healthy at 7');
    assert.equal(verdictOf('gggggg'), 'none');
    assert.equal(verdictOf('bbggggggg'), 'healthy at 9');
    assert.equal(verdictOf('g', { ...times, forMs: 0 }), 'healthy at 1');
  });

  it('bears as many failed readings in a row as it is told, and ends at the next', () => {
    assert.equal(verdictOf('gbbgbbgbbg'), 'healthy at 7');
    assert.equal(verdictOf('gbbb'), 'failing at 4');
    assert.equal(verdictOf('gb', { ...times, failures: 0 }), 'failing at 2');
  });

  it('is never healthy at a failed reading, however long it was healthy', () => {
    assert.equal(verdictOf('ggggggbg'), 'healthy at 8');
  });

  it('counts failed readings after the start period, or after the first good one', () => {
    assert.equal(verdictOf('bb'), 'none');
    // The third is taken when the start period is over.
    assert.equal(verdictOf('bbbbb'), 'failing at 5');
    assert.equal(verdictOf('gbbb', { ...times, startPeriodMs: 500_000 }), 'failing at 4');
  });

  it('ends as unhealthy when nothing was decided in time, also without any answer', () => {
    const plan = { ...times, withinMs: 50_000 };
    assert.equal(verdictOf('nnnnnnn', plan), 'undecided at 5');
    assert.equal(verdictOf('aaaaaaa', plan), 'undecided at 5');
    assert.equal(verdictOf('ggggg', plan), 'undecided at 5');
  });

  it('ends at once where somebody who knows says that it failed', () => {
    assert.equal(verdictOf('ggr'), 'refused at 3');
  });

  it('does not take the time without answers for healthy time', () => {
    assert.equal(verdictOf('gggnnnngggg'), 'none');
    assert.equal(verdictOf('gggnnnnggggg'), 'healthy at 12');
  });

  it('begins the start period anew when the Docker daemon was away', () => {
    assert.equal(verdictOf('gggabb'), 'none');
    // Two while it starts, which do not count, and then three.
    assert.equal(verdictOf('gggabbbbb'), 'failing at 9');
    // What fails in that time is not healthy time either.
    assert.equal(verdictOf('gabbggggg'), 'none');
    assert.equal(verdictOf('gabbggggggg'), 'healthy at 11');
  });

  it('goes on where it was after a time in which nobody watched', () => {
    const first = run(times, looks('gggg'));
    const taken = resumeWatch(JSON.parse(JSON.stringify(first.state)));
    const second = run(times, looks('gggg'), taken);
    // 30 s before, and 30 s after; the first look after the pause adds nothing.
    assert.deepEqual([second.verdict, second.used, second.state.readings], [{ kind: 'healthy' }, 4, 8]);
  });

  it('keeps failures in a row over a pause', () => {
    const { state } = run(times, looks('gbb'));
    assert.deepEqual(run(times, looks('b'), resumeWatch(state)).verdict, { kind: 'unhealthy', because: 'failing' });
  });

  it('tells the last five failures, and what is in the way where nothing failed', () => {
    const failing = run({ ...times, failures: 6, startPeriodMs: 0 }, looks('bbbbbbb')).state;
    assert.equal(unhealthyDetails(failing).failures.length, 5);
    assert.equal(unhealthyDetails(failing).failures.at(-1), failing.last);
    const undecided = run({ ...times, withinMs: 20_000 }, looks('bn')).state;
    assert.deepEqual(
      unhealthyDetails(undecided).failures.map(({ text }) => text),
      ['answered bad', 'answered none'],
    );
  });

  it('says what was expected and found', () => {
    const { state } = run(times, looks('gbbb'));
    assert.equal(
      unhealthyText(times, state, 'failing'),
      'expected it to stay healthy for 60 s, but 3 readings in a row failed (borne: 2); the last: answered bad',
    );
    assert.match(
      unhealthyText(times, state, 'undecided'),
      /within 600 s, but it was healthy for 30 s only; the last: answered bad/,
    );
    assert.match(unhealthyText(times, beginWatch(times), 'undecided'), /no reading was good; the last: nothing could be read/);
  });

  describe('for any readings', () => {
    const kind = fc.constantFrom<Kind>('good', 'bad', 'none', 'away');
    const anyLooks = fc.array(fc.tuple(kind, fc.integer({ min: 0, max: 40_000 })), { maxLength: 80 });
    const anyTimes = fc.record({
      forMs: fc.integer({ min: 0, max: 200_000 }),
      failures: fc.integer({ min: 0, max: 4 }),
      startPeriodMs: fc.integer({ min: 0, max: 100_000 }),
      withinMs: fc.integer({ min: 1, max: 800_000 }),
    });
    const check = (claim: (plan: typeof times, seen: readonly (readonly [Kind, number])[]) => void) =>
      fc.assert(fc.property(anyTimes, anyLooks, claim), { numRuns: 2_000 });

    it('there is a verdict as soon as the time is over', () => {
      check((plan, seen) => {
        const { state, verdict } = run(plan, seen);
        if (state.watchedMs >= plan.withinMs && state.last !== undefined) assert.notEqual(verdict, undefined);
      });
    });

    it('healthy is said at a good reading only, after at least that long, with no more failures in a row than borne', () => {
      check((plan, seen) => {
        const { verdict, used } = run(plan, seen);
        if (verdict?.kind !== 'healthy') return;
        const looked = seen.slice(0, used);
        assert.equal(looked.at(-1)?.[0], 'good');
        const firstGood = looked.findIndex(([each]) => each === 'good');
        const after = looked.slice(firstGood + 1).reduce((sum, [, afterMs]) => sum + afterMs, 0);
        assert.ok(after >= plan.forMs);
      });
    });

    it('what only went without an answer is never held against it before the time is over', () => {
      check((plan, seen) => {
        const { verdict, state } = run(
          plan,
          seen.map(([each, afterMs]) => [each === 'bad' ? 'none' : each, afterMs] as const),
        );
        if (verdict?.kind === 'unhealthy') assert.ok(verdict.because === 'undecided' && state.watchedMs >= plan.withinMs);
      });
    });

    it('failing is said after exactly one more than borne in a row, and not in the start period', () => {
      check((plan, seen) => {
        const { verdict, used, state } = run(plan, seen);
        if (verdict?.kind !== 'unhealthy' || verdict.because !== 'failing') return;
        assert.equal(state.failedInRow, plan.failures + 1);
        const answered = seen.slice(0, used).filter(([each]) => each === 'good' || each === 'bad');
        assert.ok(answered.slice(-(plan.failures + 1)).every(([each]) => each === 'bad'));
      });
    });

    it('cut off and taken up again at any look, it never says healthy sooner, and bad readings say the same', () => {
      check((plan, seen) => {
        const { verdict, used } = run(plan, seen);
        let state: WatchState = beginWatch(plan);
        for (const [each, afterMs] of seen.slice(0, used)) {
          state = observe(plan, resumeWatch(JSON.parse(JSON.stringify(state))), { kind: each, afterMs, reading: reading(each) });
        }
        const cut = watchVerdict(plan, state);
        if (verdict === undefined) assert.equal(cut, undefined);
        if (verdict?.kind === 'unhealthy') assert.deepEqual(cut, verdict);
      });
    });

    it('what is kept stays small', () => {
      check((plan, seen) => {
        const { state } = run(plan, seen);
        assert.ok(JSON.stringify(state).length < 4_000);
        assert.ok(state.failed <= state.readings && state.healthyMs <= state.watchedMs);
      });
    });
  });
});
