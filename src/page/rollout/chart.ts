import type { Reading, ReadingPoint } from '../../domain/outcomes.ts';
import { el, h, type VNode } from '../html.ts';
import { shortDuration, utcTime } from '../text.ts';

/** What the reading said is known of those that decided alone. */
export type ShownReading = ReadingPoint & Partial<Pick<Reading, 'text'>>;

const chart = { width: 360, height: 64, base: 48, bar: 10 } as const;

/** How long each reading took, in the order of time; those that failed in another colour, and with a cross. */
export function readingsChart(readings: readonly ShownReading[]): VNode {
  const slowest = Math.max(1, ...readings.map(({ tookMs }) => tookMs));
  const step = Math.min(36, (chart.width - chart.bar) / Math.max(1, readings.length));
  const bars = readings.flatMap((reading, index) => bar(reading, index * step + 2, slowest));
  const failed = readings.filter(({ healthy }) => !healthy).length;
  const label = `${readings.length} readings, ${failed} failed, the slowest took ${shortDuration(slowest)}`;
  const line = h('line', { x1: 0, y1: chart.base + 0.5, x2: chart.width, y2: chart.base + 0.5, class: 'axis' });
  const [first, last] = [readings[0], readings.at(-1)];
  const from = h('text', { x: 0, y: chart.height - 3 }, first === undefined ? '' : clock(first.at));
  const isApart = last !== undefined && readings.length > 5;
  const to = isApart ? h('text', { x: chart.width, y: chart.height - 3, 'text-anchor': 'end' }, clock(last.at)) : null;
  const size = { viewBox: `0 0 ${chart.width} ${chart.height}`, width: chart.width, height: chart.height };
  return el('svg', 'chart', { ...size, role: 'img', 'aria-label': label }, line, ...bars, from, to);
}

function bar({ at, healthy, text, tookMs }: ShownReading, x: number, slowest: number): VNode[] {
  const height = Math.max(3, (tookMs / slowest) * (chart.base - 14));
  const shape = h(
    'rect',
    { x, y: chart.base - height, width: chart.bar, height, rx: 2, class: healthy ? 'good' : 'bad' },
    h('title', null, `${utcTime(at)}: ${text ?? (healthy ? 'healthy' : 'unhealthy')}, ${shortDuration(tookMs)}`),
  );
  const y = chart.base - height - 9;
  const cross = h('path', { class: 'cross', d: `M${x + 2} ${y}l6 6m0 -6l-6 6` });
  return healthy ? [shape] : [shape, cross];
}

function clock(at: string): string {
  return utcTime(at).slice(11, 19);
}
