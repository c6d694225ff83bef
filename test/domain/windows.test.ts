import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { WindowPlan } from '../../src/domain/plan.ts';
import { problemOfWindow, type WindowsAnswer, windowsAt } from '../../src/domain/windows/index.ts';

const minute = 60_000;
const hour = 60 * minute;
const stockholm = 'Europe/Stockholm';

function weekly(kind: 'allow' | 'deny', text: string, timezone = 'UTC', reason?: string): WindowPlan {
  return { kind, weekly: text, timezone, ...(reason === undefined ? {} : { reason }) };
}

function recurring(kind: 'allow' | 'deny', lines: readonly string[], durationMs: number, timezone = 'UTC'): WindowPlan {
  return { kind, recurrence: lines.join('\n'), durationMs, timezone };
}

/** `open`, or until when it is closed, in UTC. */
function at(windows: readonly WindowPlan[], instant: string): string {
  return shown(windowsAt(windows, new Date(instant)));
}

function shown(answer: WindowsAnswer): string {
  return answer.open ? 'open' : (answer.until?.toISOString().replace('.000Z', 'Z') ?? 'for good');
}

describe('windows', () => {
  it('are open where there are none', () => {
    assert.deepEqual(windowsAt([], new Date()), { open: true });
  });

  for (const [text, instant, expected] of [
    ['Fri 16:00 - Mon 08:00', '2026-11-20T15:59:59Z', 'open'],
    ['Fri 16:00 - Mon 08:00', '2026-11-20T16:00:00Z', '2026-11-23T08:00:00Z'],
    ['Fri 16:00 - Mon 08:00', '2026-11-23T07:59:59.999Z', '2026-11-23T08:00:00Z'],
    ['Fri 16:00 - Mon 08:00', '2026-11-23T08:00:00Z', 'open'],
    ['friday 16:00–monday 8:00', '2026-11-21T00:00:00Z', '2026-11-23T08:00:00Z'],
    ['Mon 08:00 - Mon 07:00', '2026-11-21T00:00:00Z', '2026-11-23T07:00:00Z'],
    ['Mon-Fri 09:00-17:00', '2026-11-20T16:59:00Z', '2026-11-20T17:00:00Z'],
    ['Mon-Fri 09:00-17:00', '2026-11-21T12:00:00Z', 'open'],
    ['Fri - Mon 09:00 - 17:00', '2026-11-22T12:00:00Z', '2026-11-22T17:00:00Z'],
    ['Fri - Mon 09:00 - 17:00', '2026-11-24T12:00:00Z', 'open'],
    ['Sat,Sun', '2026-11-21T12:00:00Z', '2026-11-23T00:00:00Z'],
    ['Sat, Wed', '2026-11-21T12:00:00Z', '2026-11-22T00:00:00Z'],
    ['22:00-06:00', '2026-11-21T23:00:00Z', '2026-11-22T06:00:00Z'],
    ['22:00-06:00', '2026-11-23T05:00:00Z', '2026-11-23T06:00:00Z'],
    ['Sun 22:00-06:00', '2026-11-23T05:00:00Z', '2026-11-23T06:00:00Z'],
    ['Sun 22:00-06:00', '2026-11-22T05:00:00Z', 'open'],
    ['Mon 00:00-24:00', '2026-11-23T05:00:00Z', '2026-11-24T00:00:00Z'],
    ['Mon-Sun', '2026-11-23T05:00:00Z', 'for good'],
    ['00:00-24:00', '2026-11-23T05:00:00Z', 'for good'],
  ] as const) {
    it(`deny ${text}: at ${instant} ${expected === 'open' ? 'open' : `closed until ${expected}`}`, () => {
      assert.equal(at([weekly('deny', text)], instant), expected);
    });
  }

  it('that allow are open only inside of one of them, and denials win over them', () => {
    const windows = [
      weekly('allow', 'Mon-Fri 09:00-17:00'),
      weekly('allow', 'Sat 10:00-12:00'),
      weekly('deny', 'Mon 08:00-10:30'),
      weekly('deny', 'Mon 10:30-13:00'),
    ];
    assert.equal(at(windows, '2026-11-20T12:00:00Z'), 'open');
    assert.equal(at(windows, '2026-11-20T17:00:00Z'), '2026-11-21T10:00:00Z');
    assert.equal(at(windows, '2026-11-21T12:00:00Z'), '2026-11-23T13:00:00Z');
  });

  it('that leave nothing open say no time, within a bounded one', () => {
    const windows = [weekly('allow', 'Mon 09:00-17:00'), weekly('deny', 'Mon'), weekly('deny', 'Tue-Sun')];
    const start = performance.now();
    assert.equal(at(windows, '2026-11-20T12:00:00Z'), 'for good');
    assert.ok(performance.now() - start < 2_000);
  });

  it('of different zones are each read by their own clocks', () => {
    const windows = [weekly('allow', '09:00-17:00', stockholm), weekly('allow', '09:00-17:00', 'America/New_York')];
    assert.equal(at(windows, '2026-11-20T08:00:00Z'), 'open');
    assert.equal(at(windows, '2026-11-20T21:59:59Z'), 'open');
    assert.equal(at(windows, '2026-11-20T22:00:00Z'), '2026-11-21T08:00:00Z');
  });

  it('say why they are closed', () => {
    const reason = (windows: readonly WindowPlan[]) => {
      const answer = windowsAt(windows, new Date('2026-11-21T12:00:00Z'));
      return answer.open ? undefined : answer.reason;
    };
    assert.equal(
      reason([weekly('deny', 'Sat,Sun', stockholm, 'nobody is there')]),
      'no changes Sat,Sun (Europe/Stockholm): nobody is there',
    );
    assert.equal(
      reason([weekly('allow', 'Mon 09:00-10:00'), weekly('allow', 'Tue 09:00-10:00')]),
      'changes only Mon 09:00-10:00 (UTC) or Tue 09:00-10:00 (UTC)',
    );
    assert.equal(
      reason([recurring('allow', ['DTSTART:20260105T090000', 'RRULE:FREQ=WEEKLY'], hour)]),
      'changes only by FREQ=WEEKLY (UTC)',
    );
  });
});

describe('windows across a change of the clocks', () => {
  for (const [claim, text, timezone, instant, expected] of [
    [
      'end by the clock after an hour was left out',
      'Fri 16:00 - Mon 08:00',
      stockholm,
      '2026-03-28T12:00:00Z',
      '2026-03-30T06:00:00Z',
    ],
    [
      'end by the clock after an hour came twice',
      'Fri 16:00 - Mon 08:00',
      stockholm,
      '2026-10-24T12:00:00Z',
      '2026-10-26T07:00:00Z',
    ],
    [
      'end with the gap where their end is inside of it',
      '01:00-02:30',
      stockholm,
      '2026-03-29T00:59:00Z',
      '2026-03-29T01:00:00Z',
    ],
    ['that lie in the gap do not happen that day', '02:10-02:50', stockholm, '2026-03-29T01:00:00Z', 'open'],
    ['follow a change of half an hour', '01:00-08:00', 'Australia/Lord_Howe', '2026-10-03T15:00:00Z', '2026-10-03T21:00:00Z'],
    [
      'follow the other change of half an hour',
      '01:00-08:00',
      'Australia/Lord_Howe',
      '2026-04-04T14:30:00Z',
      '2026-04-04T21:30:00Z',
    ],
    ['follow New York', 'Sat 20:00 - Sun 03:00', 'America/New_York', '2026-03-08T05:00:00Z', '2026-03-08T07:00:00Z'],
  ] as const) {
    it(claim, () => {
      assert.equal(at([weekly('deny', text, timezone)], instant), expected);
    });
  }

  it('that end in a doubled hour come back with it', () => {
    const windows = [weekly('deny', '01:00-02:30', stockholm)];
    assert.equal(at(windows, '2026-10-25T00:29:00Z'), '2026-10-25T00:30:00Z');
    assert.equal(at(windows, '2026-10-25T00:30:00Z'), 'open');
    assert.equal(at(windows, '2026-10-25T01:00:00Z'), '2026-10-25T01:30:00Z');
  });
});

/** What a window says, apart from how it is written. Minutes since Monday 00:00; `to` may lie in the next week. */
interface Meant {
  readonly kind: 'allow' | 'deny';
  readonly text: string;
  readonly spans: readonly (readonly [from: number, to: number])[];
}

const dayNames = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
const weekMinutes = 7 * 1440;
const clock = (minutes: number) =>
  `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
const kind = fc.constantFrom('allow' as const, 'deny' as const);
const dayNumber = fc.nat({ max: 6 });
/** Often the very hours in which clocks change. */
const timeOfDay = fc.oneof(fc.nat({ max: 1439 }), fc.integer({ min: 60, max: 210 }), fc.constantFrom(0, 120, 180));

const acrossDays = fc
  .record({ kind, first: dayNumber, from: timeOfDay, last: dayNumber, to: timeOfDay })
  .filter(({ first, from, last, to }) => first !== last || from !== to)
  .map(({ kind, first, from, last, to }): Meant => {
    const [start, end] = [first * 1440 + from, last * 1440 + to];
    const text = `${dayNames[first]} ${clock(from)} - ${dayNames[last]} ${clock(to)}`;
    return { kind, text, spans: [[start, end > start ? end : end + weekMinutes]] };
  });

const onDays = fc
  .record({
    kind,
    days: fc.option(fc.uniqueArray(dayNumber, { minLength: 1 })),
    times: fc.option(fc.tuple(timeOfDay, timeOfDay)),
  })
  .filter(({ days, times }) => (days ?? times) !== null && times?.[0] !== (times?.[1] ?? -1))
  .map(({ kind, days, times }): Meant => {
    const [from, to] = times ?? [0, 1440];
    const text = [days?.map((day) => dayNames[day]).join(','), times && `${clock(from)}-${clock(to)}`].filter(Boolean).join(' ');
    const length = to > from ? to - from : to + 1440 - from;
    const spans = (days ?? [0, 1, 2, 3, 4, 5, 6]).map((day) => [day * 1440 + from, day * 1440 + from + length] as const);
    return { kind, text, spans };
  });

/** Three weeks with a change of the clocks in them: for each minute, how long it is since Monday 00:00 by the clocks there. */
interface Calendar {
  readonly timezone: string;
  readonly start: number;
  readonly minutes: readonly number[];
}

function calendar(timezone: string, start: string): Calendar {
  const format = new Intl.DateTimeFormat('en-GB', { timeZone: timezone, weekday: 'short', hour: '2-digit', minute: '2-digit' });
  const from = Date.parse(start);
  const minutes = Array.from({ length: 3 * weekMinutes }, (_, index) => {
    const [, day = '', hours, minutes] = /^(\w+),? (\d+):(\d+)$/.exec(format.format(from + index * minute)) ?? [];
    return dayNames.indexOf(day) * 1440 + Number(hours) * 60 + Number(minutes);
  });
  return { timezone, start: from, minutes };
}

describe('weekly windows, minute by minute', function () {
  this.timeout(60_000);
  let calendars: readonly Calendar[] = [];
  before(() => {
    calendars = [
      calendar(stockholm, '2026-03-18T00:00:00Z'),
      calendar(stockholm, '2026-10-14T00:00:00Z'),
      calendar('America/New_York', '2026-02-25T00:00:00Z'),
      calendar('America/New_York', '2026-10-21T00:00:00Z'),
      calendar('Australia/Lord_Howe', '2026-03-25T00:00:00Z'),
      calendar('Australia/Lord_Howe', '2026-09-23T00:00:00Z'),
    ];
    for (const { minutes } of calendars) assert.ok(minutes.every((time) => time >= 0 && time < weekMinutes));
  });

  function isOpen(meant: readonly Meant[], time: number): boolean {
    const within = ({ spans }: Meant) =>
      spans.some(([from, to]) => (time >= from && time < to) || (time + weekMinutes >= from && time + weekMinutes < to));
    const allowing = meant.filter((window) => window.kind === 'allow');
    return !meant.some((window) => window.kind === 'deny' && within(window)) && (allowing.length === 0 || allowing.some(within));
  }

  it('are open and closed as the clocks say, and open again when they say', () => {
    const windows = fc.array(fc.oneof(acrossDays, onDays), { minLength: 1, maxLength: 4 });
    const start = fc.oneof(fc.nat({ max: 2 * weekMinutes }), fc.integer({ min: 10 * 1440, max: 12 * 1440 }));
    let closed = 0;
    fc.assert(
      fc.property(fc.nat({ max: 5 }), windows, start, fc.nat({ max: 59_999 }), (which, meant, first, rest) => {
        const { timezone, start, minutes } = calendars[which] ?? assert.fail();
        const plans = meant.map(({ kind, text }) => weekly(kind, text, timezone));
        const answer = windowsAt(plans, new Date(start + first * minute + rest));
        const found = minutes.findIndex((time, index) => index >= first && isOpen(meant, time));
        assert.equal(answer.open, found === first);
        if (answer.open) return;
        closed++;
        const end = start + minutes.length * minute;
        if (found >= 0) assert.equal(answer.until?.getTime(), start + found * minute);
        else assert.ok(answer.until === undefined || answer.until.getTime() >= end);
      }),
      { numRuns: 1_000 },
    );
    assert.ok(closed > 100, `${closed} cases were closed`);
  });
});

describe('windows by recurrence', () => {
  const mondays = ['DTSTART:20260101T090000', 'RRULE:FREQ=WEEKLY;BYDAY=MO'];

  it('begin when the rule says, by the clocks of their zone, and last as long as they say', () => {
    const windows = [recurring('allow', mondays, 4 * hour, stockholm)];
    assert.equal(at(windows, '2026-11-23T07:59:59Z'), '2026-11-23T08:00:00Z');
    assert.equal(at(windows, '2026-11-23T08:00:00Z'), 'open');
    assert.equal(at(windows, '2026-11-23T11:59:59Z'), 'open');
    assert.equal(at(windows, '2026-11-23T12:00:00Z'), '2026-11-30T08:00:00Z');
    assert.equal(at(windows, '2026-07-06T06:59:59Z'), '2026-07-06T07:00:00Z');
  });

  it('are not before their DTSTART, and not after their UNTIL, which is a local time', () => {
    const windows = [
      recurring('deny', ['DTSTART:20260105T090000', 'RRULE:FREQ=DAILY;UNTIL=20260107T090000'], hour, 'Asia/Tokyo'),
    ];
    assert.equal(at(windows, '2026-01-04T00:30:00Z'), 'open');
    assert.equal(at(windows, '2026-01-05T00:30:00Z'), '2026-01-05T01:00:00Z');
    assert.equal(at(windows, '2026-01-07T00:30:00Z'), '2026-01-07T01:00:00Z');
    assert.equal(at(windows, '2026-01-08T00:30:00Z'), 'open');
  });

  it('end with the first of two times that the clocks show alike, and after the gap where they never show it', () => {
    const hourly = (start: string, until: string) => [
      recurring('deny', [`DTSTART:${start}`, `RRULE:FREQ=HOURLY;UNTIL=${until}`], minute, stockholm),
    ];
    const twice = hourly('20261024T220000', '20261025T023000');
    assert.equal(at(twice, '2026-10-25T00:00:30Z'), '2026-10-25T00:01:00Z');
    assert.equal(at(twice, '2026-10-25T01:00:30Z'), 'open');
    const never = hourly('20260328T220000', '20260329T020000');
    assert.equal(at(never, '2026-03-29T01:00:30Z'), '2026-03-29T01:01:00Z');
    assert.equal(at(never, '2026-03-29T02:00:30Z'), 'open');
  });

  it('know exceptions, further dates and folded lines', () => {
    const windows = [
      recurring(
        'deny',
        ['DTSTART:20260105T090000', 'RRULE:FREQ=WEEKLY;', ' COUNT=3', 'EXDATE:20260112T090000', 'RDATE:20260114T090000'],
        hour,
        stockholm,
      ),
    ];
    assert.equal(at(windows, '2026-01-12T08:30:00Z'), 'open');
    assert.equal(at(windows, '2026-01-14T08:30:00Z'), '2026-01-14T09:00:00Z');
    assert.equal(at(windows, '2026-01-19T08:30:00Z'), '2026-01-19T09:00:00Z');
    assert.equal(at(windows, '2026-01-26T08:30:00Z'), 'open');
  });

  it('that overlap themselves end with the last of them', () => {
    const windows = [recurring('deny', ['DTSTART:20260105T000000', 'RRULE:FREQ=DAILY;COUNT=5'], 30 * hour)];
    assert.equal(at(windows, '2026-01-05T12:00:00Z'), '2026-01-10T06:00:00Z');
  });

  it('that never end, and that allow nothing any more, say no time', () => {
    assert.equal(
      at([recurring('deny', ['DTSTART:20200101T000000', 'RRULE:FREQ=HOURLY'], hour)], '2026-01-05T12:00:00Z'),
      'for good',
    );
    assert.equal(
      at([recurring('allow', ['DTSTART:20200101T000000', 'RRULE:FREQ=DAILY;COUNT=2'], hour)], '2026-01-05T12:00:00Z'),
      'for good',
    );
    assert.equal(
      at([recurring('allow', ['DTSTART:20300101T000000', 'RRULE:FREQ=DAILY'], hour)], '2026-01-05T12:00:00Z'),
      'for good',
    );
  });

  it('mix with weekly ones', () => {
    const windows = [recurring('allow', mondays, 4 * hour, stockholm), weekly('deny', 'Mon 09:00-10:00', stockholm)];
    assert.equal(at(windows, '2026-11-21T00:00:00Z'), '2026-11-23T09:00:00Z');
  });

  it('keep their length when the clocks change within them, and their hour on the days after', () => {
    const windows = [recurring('deny', ['DTSTART:20260101T220000', 'RRULE:FREQ=DAILY'], 8 * hour, stockholm)];
    assert.equal(at(windows, '2026-03-29T00:00:00Z'), '2026-03-29T05:00:00Z');
    assert.equal(at(windows, '2026-03-30T00:00:00Z'), '2026-03-30T04:00:00Z');
  });
});

describe('the problem of a window', () => {
  it('is none for what is right', () => {
    for (const text of [
      'Fri 16:00 - Mon 08:00',
      'Mon-Fri 09:00-17:00',
      'Sat,Sun',
      '22:00-06:00',
      'monday',
      'Mon-Wed,Fri 9:00-24:00',
    ])
      assert.equal(problemOfWindow(weekly('deny', text, stockholm)), undefined, text);
    for (const lines of [
      ['DTSTART:20260101T090000', 'RRULE:FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9,12;WKST=SU'],
      ['DTSTART:20241224T000000', 'RRULE:FREQ=YEARLY;COUNT=20;INTERVAL=2'],
      ['dtstart:20260101t090000', '', 'rrule:freq=yearly;bymonth=12;bymonthday=24,31;until=20301231'],
      ['DTSTART:20240229T000000', 'RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29'],
    ])
      assert.equal(problemOfWindow(recurring('deny', lines, hour, stockholm)), undefined, lines.join());
  });

  for (const text of [
    '',
    ' ',
    'Fri 16:00',
    'Fri 16:00 - Mon',
    'Fr-Mo 09:00-17:00',
    'Mon 25:00-26:00',
    'Mon 09:60-10:00',
    'Mon 24:00-08:00',
    'Mon09:00-10:00',
    'Mon,',
    '9-17',
    'weekends',
    'Mon 09:00-10:00, Tue 09:00-10:00',
  ]) {
    it(`is told for '${text}'`, () => {
      assert.match(problemOfWindow(weekly('deny', text)) ?? '', /^expected times of the week such as .* found '/);
    });
  }

  for (const text of ['Fri 16:00 - Fri 16:00', '09:00-09:00', 'Sun 24:00 - Mon 00:00']) {
    it(`is told for '${text}', which is nothing or everything`, () => {
      assert.match(problemOfWindow(weekly('deny', text)) ?? '', /^expected two different times/);
    });
  }

  for (const timezone of ['', 'Mars/Olympus', '+01:00', 'CEST ', 'Europe/Stockholm\nX']) {
    it(`is told for the time zone '${timezone.replace('\n', '\\n')}'`, () => {
      assert.match(problemOfWindow(weekly('deny', 'Sat', timezone)) ?? '', /^expected a time zone by its IANA name/);
    });
  }

  const start = 'DTSTART:20260101T090000';
  for (const [claim, lines, expected] of [
    ['no DTSTART', ['RRULE:FREQ=DAILY'], /one line DTSTART:…, found none/],
    ['no RRULE', [start], /one line RRULE:…, found none/],
    ['two RRULEs', [start, 'RRULE:FREQ=DAILY', 'RRULE:FREQ=WEEKLY'], /one line RRULE:…, found 2/],
    ['a zone in the text', ['DTSTART;TZID=Europe/Paris:20260101T090000', 'RRULE:FREQ=DAILY'], /the zone is said by timezone/],
    ['a time in UTC', ['DTSTART:20260101T090000Z', 'RRULE:FREQ=DAILY'], /expected DTSTART as a local time/],
    ['a day that does not exist', ['DTSTART:20260230T090000', 'RRULE:FREQ=DAILY'], /expected DTSTART as a local time/],
    ['a part that is misspelt', [start, 'RRULE:FREQ=WEEKLY;BYDAYS=MO'], /expected the parts FREQ.*found 'BYDAYS=MO'/],
    ['a part of another standard', [start, 'RRULE:FREQ=YEARLY;RSCALE=HEBREW'], /found 'RSCALE=HEBREW'/],
    ['a part named like what every object has', [start, 'RRULE:FREQ=DAILY;CONSTRUCTOR=1'], /found 'CONSTRUCTOR=1'/],
    ['a month that does not exist', [start, 'RRULE:FREQ=YEARLY;BYMONTH=13'], /found 'BYMONTH=13'/],
    ['a rule by the minute', [start, 'RRULE:FREQ=MINUTELY'], /YEARLY, MONTHLY, WEEKLY, DAILY or HOURLY.*found 'FREQ=MINUTELY'/],
    ['a part given twice', [start, 'RRULE:FREQ=DAILY;COUNT=1;COUNT=2'], /expected COUNT once/],
    [
      'another line',
      [start, 'RRULE:FREQ=DAILY', 'SUMMARY:hello'],
      /expected lines DTSTART, RRULE, EXDATE and RDATE, found 'SUMMARY:hello'/,
    ],
    ['a rule by which nothing happens', [start, 'RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30'], /by which something happens/],
    ['a rule that ended before it began', [start, 'RRULE:FREQ=DAILY;UNTIL=20251231'], /by which something happens/],
    ['COUNT beside UNTIL', [start, 'RRULE:FREQ=DAILY;COUNT=2;UNTIL=20271231'], /COUNT or UNTIL, not both/],
    ['a second that does not exist', ['DTSTART:20260101T090060', 'RRULE:FREQ=DAILY'], /expected DTSTART as a local time/],
    ['an end that is no time', [start, 'RRULE:FREQ=DAILY;UNTIL=20271331T000000'], /expected UNTIL as a local time/],
  ] as const) {
    it(`is told for ${claim}`, () => {
      assert.match(problemOfWindow(recurring('deny', lines, hour, stockholm)) ?? 'no problem', expected);
    });
  }

  it('is told for a recurrence that lasts no time', () => {
    assert.match(problemOfWindow(recurring('deny', [start, 'RRULE:FREQ=DAILY'], 0)) ?? '', /a duration of more than nothing/);
  });

  it('never is an exception, whatever is written, and what has none can be asked', () => {
    const words = fc.constantFrom('Mon', 'fri', '-', ' - ', ',', ' ', '09:00', '24:00', '8:30', ':', 'x');
    const text = fc.oneof(
      fc.string(),
      fc.array(words, { maxLength: 8 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text, (written) => {
        const window = weekly('deny', written, stockholm);
        if (problemOfWindow(window) === undefined) windowsAt([window], new Date('2026-03-28T12:00:00Z'));
        problemOfWindow({
          kind: 'deny',
          recurrence: `DTSTART:20260101T090000\nRRULE:${written}`,
          durationMs: 1,
          timezone: 'UTC',
        });
        problemOfWindow(weekly('deny', 'Sat', written));
      }),
      { numRuns: 1_000 },
    );
  });
});
