import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { msToTs } from '@temporalio/common/lib/time.js';
import fc from 'fast-check';
import { readBaseline, regressions } from '../../scripts/bench/baseline.ts';
import { commandAims } from '../../scripts/bench/command.ts';
import { covered, type History, timesOf } from '../../scripts/bench/history.ts';
import { idleAims } from '../../scripts/bench/idle.ts';
import { freshImage, readServiceFiles } from '../../scripts/bench/image.ts';
import { ingressAims, ingressText } from '../../scripts/bench/ingress-report.ts';
import { type Pace, paceOf, percentile } from '../../scripts/bench/pace.ts';
import { processorTimes, residentMebibytes, timesIn } from '../../scripts/bench/processor.ts';
import { aimsOf, aimText, isMet, type Measured, median, reportText } from '../../scripts/bench/report.ts';
import { startAims } from '../../scripts/bench/start.ts';

type Event = NonNullable<History['events']>[number];

/** Events at a millisecond after an arbitrary moment, numbered in the order given. */
function history(...events: (Omit<Event, 'eventTime' | 'eventId'> & { at: number })[]): History {
  return {
    events: events.map(({ at, ...event }, index) => ({ ...event, eventId: long(index + 1), eventTime: timeAt(at) })),
  };
}

const epochMs = 1_700_000_000_000;
const timeAt = (ms: number) => msToTs(epochMs + ms);
/** Numbers as they come from the server. */
const long = (value: number): NonNullable<Event['eventId']> => {
  const { seconds } = msToTs(value * 1_000);
  assert.ok(seconds);
  return seconds;
};

const started = (at: number) => ({ at, workflowExecutionStartedEventAttributes: {} });
const completed = (at: number) => ({ at, workflowExecutionCompletedEventAttributes: {} });
const scheduled = (at: number, name: string) => ({ at, activityTaskScheduledEventAttributes: { activityType: { name } } });
const succeeded = (at: number, id: number) => ({ at, activityTaskCompletedEventAttributes: { scheduledEventId: long(id) } });
const failed = (at: number, id: number) => ({ at, activityTaskFailedEventAttributes: { scheduledEventId: long(id) } });

/** As the SDK writes it. */
function laneCall(at: number, name: string, fromMs: number, toMs: number) {
  const time = (ms: number) => ({ seconds: (epochMs + ms - (ms % 1_000)) / 1_000, nanos: (ms % 1_000) * 1e6 });
  const record = { activity_type: name, original_schedule_time: time(fromMs), complete_time: time(toMs) };
  const payloads = [{ data: Buffer.from(JSON.stringify(record)) }];
  return { at, markerRecordedEventAttributes: { markerName: 'core_local_activity', details: { data: { payloads } } } };
}

describe("the benchmark's reading of a history", () => {
  it('counts time in which two activities run side by side once', () => {
    const times = timesOf(
      history(started(0), scheduled(10, 'scan'), scheduled(10, 'smoke'), succeeded(500, 2), succeeded(900, 3), completed(1_000)),
    );
    assert.equal(times.wholeMs, 1_000);
    assert.equal(times.ownMs, 110);
    assert.deepEqual(
      times.activities.map(({ name, fromMs, toMs }) => [name, toMs - fromMs]),
      [
        ['scan', 490],
        ['smoke', 890],
      ],
    );
  });

  it('counts a failed activity up to its failure, and the pause before the next one as its own', () => {
    const times = timesOf(
      history(started(0), scheduled(0, 'scan'), failed(300, 2), scheduled(400, 'scan'), succeeded(1_000, 4), completed(1_000)),
    );
    assert.equal(times.ownMs, 100);
  });

  it('counts calls to the lane as activities, and says what comes out if they were not', () => {
    const times = timesOf(
      history(
        started(0),
        laneCall(50, 'enterLane', 20, 45),
        scheduled(50, 'verify'),
        succeeded(90, 3),
        laneCall(100, 'x', 80, 95),
        completed(100),
      ),
    );
    assert.equal(times.ownMs, 100 - 25 - 40 - 5);
    assert.equal(times.ownWithLaneMs, 60);
  });

  it('refuses a history that is not complete', () => {
    assert.throws(() => timesOf(history(started(0), scheduled(1, 'scan'))), /completed workflow/);
    assert.throws(() => timesOf({}), /completed workflow/);
    assert.throws(() => timesOf(history(started(0), scheduled(1, 'scan'), completed(2))), /activity scan to have ended/);
  });

  it('covers exactly the milliseconds that lie in one of the spans', () => {
    const bound = fc.integer({ min: -20, max: 120 });
    const span = fc.tuple(bound, bound).map(([a, b]) => ({ fromMs: Math.min(a, b), toMs: Math.max(a, b) }));
    fc.assert(
      fc.property(fc.array(span), (spans) => {
        const inSome = (ms: number) => spans.some(({ fromMs, toMs }) => fromMs <= ms && ms < toMs);
        const expected = Array.from({ length: 100 }, (_, ms) => ms).filter(inSome).length;
        assert.equal(covered(spans, { fromMs: 0, toMs: 100 }), expected);
      }),
    );
  });
});

/** Rounds in which Landfall needs so long, and the script 10 s. */
function measured(landfallMs: number, { events = 42, ownMs = 100 } = {}): Measured {
  const activities = [{ name: 'scan', isLocal: false, fromMs: 0, toMs: 4_000 }];
  const times = { wholeMs: 5_000, ownMs, ownWithLaneMs: ownMs + 20, activities };
  return {
    landfall: [{ proposedAfterMs: landfallMs, times, events, bytes: 17_000 }],
    script: [{ proposedAfterMs: 10_000, steps: [{ name: 'pull', ms: 2_000 }] }],
  };
}

describe("the benchmark's report", () => {
  it('meets each aim at its limit, and misses it beyond', () => {
    const met = (...args: Parameters<typeof measured>) => aimsOf(measured(...args)).map(isMet);
    assert.deepEqual(met(8_000, { events: 60, ownMs: 500 }), [true, true, true]);
    assert.deepEqual(met(8_001), [false, true, true]);
    assert.deepEqual(met(8_000, { ownMs: 501 }), [true, false, true]);
    assert.deepEqual(met(8_000, { events: 61 }), [true, true, false]);
  });

  it('takes the longest history, not the usual one', () => {
    const rounds = [42, 61, 43].flatMap((events) => measured(5_000, { events }).landfall);
    assert.deepEqual(aimsOf({ ...measured(5_000), landfall: rounds }).map(isMet), [true, true, false]);
  });

  it('says of each aim what was found, and where the time went', () => {
    const found = measured(8_500);
    const text = [reportText(found, 'node'), ...aimsOf(found).map(aimText)].join('\n');
    assert.match(text, /^MISSED {2}Landfall's time .*: 0\.85 \(aim: at most 0\.80\)$/m);
    assert.match(text, /^met {5}the rollout's own time .*: 0\.020 \(aim: at most 0\.10\)$/m);
    assert.match(text, /^met {5}events .*: 42 \(aim: at most 60\)$/m);
    assert.match(text, /laid out as node/);
    assert.match(text, /Landfall {2}8\.5 s .*scan 4\.0 s/);
    assert.match(text, /Script {4}10\.0 s .*pull 2\.0 s/);
  });

  it('has the middle value as median, or what lies between the two middle ones', () => {
    assert.equal(median([9, 1, 5]), 5);
    assert.equal(median([10, 1, 2, 4]), 3);
    assert.throws(() => median([]), /nothing/);
  });
});

describe('the benchmark of the ingress', () => {
  const pace = (perSecond: number): Pace => ({ perSecond, p50Ms: 1_000 / perSecond, p99Ms: 20 });
  const round = (accepted: number, refused: number) => ({
    accepted: pace(accepted),
    bare: pace(100),
    refused: pace(refused),
    koa: pace(1_000),
  });

  it('meets each aim at its limit, and misses it below, by medians of the rounds', () => {
    assert.deepEqual(ingressAims([round(90, 600)]).map(isMet), [true, true]);
    assert.deepEqual(ingressAims([round(89, 599)]).map(isMet), [false, false]);
    assert.deepEqual(ingressAims([round(10, 100), round(95, 600), round(96, 700)]).map(isMet), [true, true]);
    // A machine that is slower in one round is so for both sides.
    const slow = { accepted: pace(45), bare: pace(50), refused: pace(35), koa: pace(50) };
    assert.deepEqual(
      ingressAims([slow, slow, round(95, 700)]).map(({ found }) => found),
      [0.9, 0.7],
    );
  });

  it('says of each how fast it went', () => {
    const text = [ingressText([round(90, 400)]), ...ingressAims([round(90, 400)]).map(aimText)].join('\n');
    assert.match(text, /accepted .* 90\/s .*p50 11\.1 ms, p99 20\.0 ms/);
    assert.match(text, /bare Koa .* 1000\/s/);
    assert.match(text, /^MISSED {2}deliveries refused .*: 0\.40 \(aim: at least 0\.60\)$/m);
  });

  it('measures what was really done, so many at once, and takes no failure for a success', async () => {
    let now = 0;
    let most = 0;
    const done: number[] = [];
    const measured = await paceOf(20, 4, async (index) => {
      now += 1;
      most = Math.max(most, now);
      await new Promise((resolve) => setImmediate(resolve));
      now -= 1;
      done.push(index);
    });
    assert.deepEqual([most, [...done].sort((a, b) => a - b)], [4, Array.from({ length: 20 }, (_, index) => index)]);
    assert.ok(measured.perSecond > 0 && measured.p50Ms <= measured.p99Ms);
    await assert.rejects(
      paceOf(2, 1, async () => Promise.reject(new Error('answered with 500'))),
      /answered with 500/,
    );
    assert.equal(percentile([1, 2, 3, 4], 0.5), 2);
    assert.equal(percentile([1, 2, 3, 4], 0.99), 4);
  });
});

describe('the benchmark of the process', () => {
  it('meets each aim at its limit, and misses it beyond', () => {
    const idle = (mebibytes: number, share: number) =>
      idleAims({ landfall: { mebibytes, share }, temporal: { mebibytes: mebibytes - 27, share } }).map(isMet);
    assert.deepEqual(idle(200, 0.01), [true, true, true, true]);
    assert.deepEqual(idle(201, 0.011), [false, false, false, false]);
    assert.deepEqual(startAims([{ cloneMs: 3_000, buildMs: 1_500 }]).map(isMet), [true, true]);
    assert.deepEqual(startAims([{ cloneMs: 3_001, buildMs: 1_501 }]).map(isMet), [false, false]);
    assert.deepEqual(commandAims([{ clone: 0.4, build: 0.4 }]).map(isMet), [true, true]);
    assert.deepEqual(commandAims([{ clone: 0.41, build: 0.41 }]).map(isMet), [false, false]);
  });

  it('reads what Linux says of a process, whatever its name, and counts what a child took', function () {
    if (process.platform !== 'linux') return this.skip();
    const stat = '7 (a) 1 (b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 20 30 20 0 1 0 100 1 1';
    assert.deepEqual(timesIn(stat), { own: 2, children: 0.5 });
    const before = processorTimes('self').children;
    const busy = 'while (process.cpuUsage().user < 200_000) Math.sqrt(2);';
    execFileSync(process.execPath, ['-e', busy]);
    assert.ok(processorTimes('self').children - before >= 0.18);
    const differs = residentMebibytes(process.pid) - process.memoryUsage.rss() / 1024 ** 2;
    assert.ok(Math.abs(differs) < 10, `${differs} MiB`);
  });
});

describe("the benchmark's image", () => {
  it('has packages that Trivy knows and secrets would be looked for in, and is another one each time', async function () {
    this.timeout(60_000);
    const files = await readServiceFiles(process.cwd(), 'python');
    const paths = Object.keys(files);
    assert.ok(paths.every((path) => !path.includes('node_modules/')));
    assert.match(files['app/site-packages/koa.dist-info/METADATA']?.toString() ?? '', /^Name: koa\nVersion: \d/m);
    assert.ok(paths.filter((path) => path.endsWith('.dist-info/METADATA')).length > 100);
    const [one, other] = [freshImage(files), freshImage(files)];
    assert.notEqual(one.files?.['www/health'], other.files?.['www/health']);
  });

  it('keeps packages where npm does in the layout of node', async function () {
    this.timeout(60_000);
    const paths = Object.keys(await readServiceFiles(process.cwd(), 'node'));
    assert.ok(paths.includes('app/node_modules/koa/package.json'));
    assert.ok(paths.every((path) => path === 'usr/bin/node' || path.startsWith('app/node_modules/')));
  });
});

describe("the benchmark's comparison with earlier runs", () => {
  const aim = { id: 'some-ratio', what: 'a ratio', isRatio: true } as const;
  const before = new Map([
    ['some-ratio', 0.5],
    ['seconds', 2],
  ]);

  it('finds a ratio that got worse by more than 30 %, in whichever direction is worse', () => {
    assert.deepEqual(regressions([{ ...aim, atMost: 0.8, found: 0.64 }], before), []);
    assert.deepEqual(regressions([{ ...aim, atMost: 0.8, found: 0.66 }], before), [
      'a ratio: 0.66, and it was 0.50: worse by 32 %',
    ]);
    assert.deepEqual(regressions([{ ...aim, atLeast: 0.4, found: 0.7 }], before), []);
    assert.match(regressions([{ ...aim, atLeast: 0.4, found: 0.38 }], before)[0] ?? '', /worse by 32 %/);
  });

  it('passes over what depends on the machine, and what nobody measured before', () => {
    const aims = [
      { id: 'seconds', what: 'the start', atMost: 3, found: 20 },
      { ...aim, id: 'new', atMost: 1, found: 20 },
    ];
    assert.deepEqual(regressions(aims, before), []);
  });

  it('knows what was found for every ratio of a quick run', () => {
    assert.deepEqual([...readBaseline().keys()].sort(), ['accepted', 'first-push', 'refused', 'second-push-python']);
  });
});
