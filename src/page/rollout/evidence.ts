import { type Evidence, isEvidence, withoutQuotes } from '../../domain/evidence.ts';
import { type ComponentChild, div, el, h, p, span, type VNode } from '../html.ts';
import { pill } from '../parts.ts';
import { shortDuration, utcTime } from '../text.ts';
import { readingsChart, type ShownReading } from './chart.ts';

/**
 * What a person should see of a step: what a check found, readings of its health, what comes along besides the image, log lines as they
 * are, anything else as JSON. Details come from workers of any version, so nothing about their shape is taken for granted.
 */
export function detailNodes(details: unknown): ComponentChild[] {
  // A failure's details are a list; nearly always of one.
  if (Array.isArray(details)) return details.flatMap(detailNodes);
  if (details === undefined || details === null) return [];
  if (typeof details !== 'object') return [logBlock(String(details))];
  if (isEvidence(details)) return [evidenceBlock(details)];
  if ('before' in details && 'now' in details && isReading(details.before)) {
    return [
      p('quiet', 'Before the change:'),
      ...readingNodes([details.before]),
      p('quiet', 'After it:'),
      ...detailNodes(details.now),
    ];
  }
  if ('changes' in details && Array.isArray(details.changes)) return [otherChanges(details, details.changes)];
  if (isReading(details)) return readingNodes([details]);
  if ('recent' in details && !('failures' in details) && Array.isArray(details.recent))
    return watchedNodes(details, details.recent);
  if ('failures' in details && Array.isArray(details.failures)) return healthNodes(details, details.failures);
  if ('log' in details && typeof details.log === 'string') return [logBlock(details.log)];
  return [logBlock(JSON.stringify(details, null, 2))];
}

/** What a check found: in one line, and then in columns, one by one, or as a log. */
function evidenceBlock({ title, passed, text, items = [], rows, log }: Evidence): VNode {
  const lines = rows ?? items.map(({ label = '', text: said }) => [label, withoutQuotes(said)]);
  return div(
    'evidence',
    p('', pill(passed ? 'passed' : 'failed'), ' ', h('strong', null, title), ': ', withoutQuotes(text)),
    lines.length > 0 && cellTable(`${title}: what was found`, lines),
    log !== undefined && logBlock(log),
  );
}

/** Columns without names: the evidence has none. */
function cellTable(label: string, rows: readonly (readonly string[])[]): VNode {
  const body = rows.map((cells) => h('tr', null, ...cells.map((text) => h('td', null, severity(text)))));
  return el('table', 'findings', { 'aria-label': label }, h('tbody', null, ...body));
}

const severities = ['critical', 'high', 'medium', 'low', 'unknown'];

function severity(text: string): ComponentChild {
  const word = text.toLowerCase();
  return severities.includes(word) ? span(`severity ${word}`, text) : text;
}

/** The end of a log. */
export function logBlock(log: string): VNode {
  const text = log.trimEnd();
  if (text === '') return p('quiet', 'No log lines.');
  const lines = text.split('\n').length;
  // What scrolls has to be reached by keyboard, too.
  const attributes = { tabindex: 0, role: 'group', 'aria-label': `Log, ${lines} ${lines === 1 ? 'line' : 'lines'}` };
  return el('pre', 'log', attributes, text);
}

/** What comes along besides the image, and who brought it. */
function otherChanges(details: object, changes: readonly unknown[]): VNode {
  const commits = 'commits' in details && Array.isArray(details.commits) ? details.commits : [];
  const more = cell(details, 'more');
  return div(
    'evidence',
    p('', h('strong', null, 'What comes along besides the image')),
    h('ul', null, ...changes.map((change) => h('li', null, String(change))), more !== '' && h('li', null, `and ${more} more`)),
    commits.length > 0 && p('quiet', 'Brought by:'),
    commits.length > 0 &&
      cellTable(
        'Commits',
        commits.map((commit) => [cell(commit, 'commit').slice(0, 12), cell(commit, 'author'), cell(commit, 'subject')]),
      ),
  );
}

/** How often it was looked at, the readings that decided, and what the container said. */
function healthNodes(details: object, failures: readonly unknown[]): ComponentChild[] {
  const slowest = Number(cell(details, 'slowestMs'));
  const facts = [
    `${cell(details, 'failed')} of ${cell(details, 'readings')} readings failed`,
    ...(Number.isFinite(slowest) ? [`slowest ${shortDuration(slowest)}`] : []),
  ];
  const log = cell(details, 'log');
  const recent = 'recent' in details && Array.isArray(details.recent) ? details.recent : [];
  const chart = recent.length > failures.length ? readingsChart(recent.map(shownReading)) : undefined;
  const readings = chart === undefined ? readingNodes(failures) : [chart, readingsTable(failures.map(shownReading))];
  return [p('quiet', facts.join(', ')), ...readings, log !== '' && logBlock(log)];
}

/** Of a watch that went well: how often it was looked at, and how long each look took. */
function watchedNodes(details: object, recent: readonly unknown[]): ComponentChild[] {
  const slowest = shortDuration(Number(cell(details, 'slowestMs')));
  return [
    p('quiet', `${cell(details, 'readings')} readings, ${cell(details, 'failed')} failed, slowest ${slowest}`),
    readingsChart(recent.map(shownReading)),
  ];
}

function readingNodes(readings: readonly unknown[]): ComponentChild[] {
  const shown = readings.map(shownReading);
  return shown.length === 0 ? [] : [readingsChart(shown), readingsTable(shown)];
}

function readingsTable(readings: readonly ShownReading[]): VNode {
  const rows = readings.map(({ at, healthy, text = '', tookMs }) => {
    const cells = [utcTime(at), pill(healthy ? 'healthy' : 'unhealthy'), text, shortDuration(tookMs)];
    return h('tr', null, ...cells.map((content) => h('td', null, content)));
  });
  return el('table', 'findings', { 'aria-label': 'Readings' }, h('tbody', null, ...rows));
}

function shownReading(reading: unknown): ShownReading {
  const tookMs = Number(cell(reading, 'tookMs'));
  return {
    at: cell(reading, 'at'),
    healthy: cell(reading, 'healthy') === 'true',
    text: cell(reading, 'text'),
    tookMs: Number.isFinite(tookMs) ? tookMs : 0,
  };
}

function isReading(details: unknown): boolean {
  return typeof details === 'object' && details !== null && 'healthy' in details && 'text' in details;
}

function cell(record: unknown, key: string): string {
  const value: unknown = record instanceof Object && Object.hasOwn(record, key) ? Reflect.get(record, key) : undefined;
  return value === undefined || value === null ? '' : String(value);
}
