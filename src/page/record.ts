import type { Figures } from '../operations/figures.ts';
import { targets } from '../operations/targets.ts';
import { type Children, type ComponentChild, div, el, h, p, type VNode } from './html.ts';
import { section, type Tone } from './parts.ts';
import { counted, shortDuration } from './text.ts';
import { at, type PageView, paths } from './view.ts';

const spans = [7, 30, 90] as const;

/** How well it went, beside what was promised. */
export function recordBody(view: PageView, figures: Figures, services: readonly string[], service: string | undefined): Children {
  const { days, rollouts, isCut } = figures;
  const links = spans.map((span) =>
    h(
      'a',
      {
        class: 'button',
        href: at(view, paths.record({ days: String(span), service })),
        ...(span === days && { 'aria-current': 'true' }),
      },
      `${span} days`,
    ),
  );
  return [
    h('h1', null, 'Record'),
    p(
      'quiet',
      `${counted(rollouts, 'rollout')} that ended within ${days} days${service === undefined ? '' : `, of ${service}`}.`,
      isCut && ' There were more: the newest count.',
    ),
    el('div', 'filters', {}, ...links, serviceForm(view, days, services, service)),
    div('targets', ...targetCards(figures)),
    section('days', 'Day by day', dayChart(figures), endsLine(figures)),
  ];
}

function serviceForm(view: PageView, days: number, services: readonly string[], service: string | undefined): VNode {
  const options = services.map((name) => h('option', { value: name, ...(name === service && { selected: true }) }, name));
  return el(
    'form',
    'filters inline',
    { method: 'get', action: at(view, paths.record()) },
    h('input', { type: 'hidden', name: 'days', value: days }),
    h('label', null, 'Service', h('select', { name: 'service' }, h('option', { value: '' }, 'all'), ...options)),
    el('button', 'button', { type: 'submit' }, 'Show'),
  );
}

function targetCards({ toProposed, toHealthy, successShare, personShare, proposalsPerWeek }: Figures): VNode[] {
  const seconds = (value: number) => shortDuration(value * 1000);
  return [
    card('Push to pull request', {
      value: toProposed && seconds(toProposed.p50Seconds),
      more: toProposed && `p95 ${seconds(toProposed.p95Seconds)}, of ${toProposed.count}`,
      target: `target: ${seconds(targets.proposedSeconds)}`,
      share: toProposed && Math.min(1, toProposed.p95Seconds / (2 * targets.proposedSeconds)),
      goal: 0.5,
      isMet: toProposed && toProposed.p95Seconds <= targets.proposedSeconds,
    }),
    card('Push to healthy', {
      value: toHealthy && seconds(toHealthy.p50Seconds),
      more: toHealthy && `p95 ${seconds(toHealthy.p95Seconds)}, of ${toHealthy.count}`,
    }),
    card('Success', {
      value: successShare === undefined ? undefined : percent(successShare),
      more: 'ended well, of those that ended well or badly',
      target: `target: ${percent(targets.successShare)} and more`,
      share: successShare,
      goal: targets.successShare,
      isMet: successShare === undefined ? undefined : successShare >= targets.successShare,
    }),
    card('Needed a person', {
      value: personShare === undefined ? undefined : percent(personShare),
      more: 'decisions, commits or merges by people',
      target: `target: at most ${percent(targets.personShare)}`,
      share: personShare,
      goal: targets.personShare,
      isMet: personShare === undefined ? undefined : personShare <= targets.personShare,
    }),
    card('Pull requests', { value: proposalsPerWeek.toFixed(proposalsPerWeek < 10 ? 1 : 0), more: 'a week' }),
  ];
}

interface CardInput {
  readonly value: string | undefined;
  readonly more?: string | undefined;
  readonly target?: string;
  readonly share?: number | undefined;
  readonly goal?: number;
  readonly isMet?: boolean | undefined;
}

function card(title: string, { value, more, target, share, goal, isMet }: CardInput): VNode {
  const tone: Tone = isMet === undefined ? 'calm' : isMet ? 'good' : 'bad';
  return el(
    'article',
    `card target ${tone === 'bad' ? 'bad' : ''}`,
    { 'aria-label': title },
    el('h2', '', {}, title),
    div('value', value ?? el('span', 'quiet', {}, 'none yet')),
    more !== undefined && value !== undefined && p('quiet', more),
    share !== undefined && goal !== undefined && meter(share, goal, tone),
    target !== undefined &&
      p('', el('span', `pill ${tone}`, {}, isMet === undefined ? target : `${isMet ? 'met' : 'missed'}, ${target}`)),
  );
}

/** Where it is, and where it should be. */
function meter(share: number, goal: number, tone: Tone): VNode {
  const width = (value: number) => `${(Math.min(1, Math.max(0, value)) * 100).toFixed(1)}%`;
  return el(
    'svg',
    `meter ${tone}`,
    { height: 12, width: '100%', 'aria-hidden': 'true' },
    h('rect', { class: 'track', x: 0, y: 3, width: '100%', height: 6, rx: 3 }),
    h('rect', { class: 'fill', x: 0, y: 3, width: width(share), height: 6, rx: 3 }),
    h('line', { class: 'goal', x1: width(goal), x2: width(goal), y1: 0, y2: 12 }),
  );
}

function percent(share: number): string {
  return `${(share * 100).toFixed(Number.isInteger(Math.round(share * 1000) / 10) ? 0 : 1)} %`;
}

const chart = { height: 120, base: 100 } as const;

/** One bar a day: what ended well, badly and otherwise, one upon the other. */
function dayChart({ byDay }: Figures): VNode {
  const most = Math.max(1, ...byDay.map(({ well, badly, otherwise }) => well + badly + otherwise));
  const width = 100 / byDay.length;
  const bars = byDay.flatMap(({ day, well, badly, otherwise }, index): ComponentChild[] => {
    let y: number = chart.base;
    const parts = [
      ['good', well],
      ['calm', otherwise],
      ['bad', badly],
    ] as const;
    const rects = parts.flatMap(([tone, count]) => {
      if (count === 0) return [];
      const height = (count / most) * (chart.base - 10);
      y -= height;
      return [
        h('rect', {
          class: tone,
          x: `${(index * width + width * 0.12).toFixed(2)}%`,
          y: y.toFixed(1),
          width: `${(width * 0.76).toFixed(2)}%`,
          height: height.toFixed(1),
          rx: 1.5,
        }),
      ];
    });
    return [h('g', null, h('title', null, `${day}: ${well} ended well, ${badly} badly, ${otherwise} otherwise`), ...rects)];
  });
  const total = byDay.reduce((sum, { well, badly, otherwise }) => sum + well + badly + otherwise, 0);
  const label = `Rollouts that ended, day by day: ${total} in ${byDay.length} days, at most ${most} a day`;
  return div(
    'card',
    el(
      'svg',
      'chart days',
      { width: '100%', height: chart.height, role: 'img', 'aria-label': label },
      h('line', { x1: 0, x2: '100%', y1: chart.base + 0.5, y2: chart.base + 0.5, class: 'axis' }),
      ...bars,
      h('text', { x: 0, y: chart.height - 5 }, byDay[0]?.day ?? ''),
      h('text', { x: '100%', y: chart.height - 5, 'text-anchor': 'end' }, byDay.at(-1)?.day ?? ''),
    ),
  );
}

function endsLine({ ends }: Figures): VNode | false {
  const entries = Object.entries(ends).sort(([, one], [, other]) => other - one);
  return entries.length > 0 && p('quiet', entries.map(([end, count]) => `${count} ${end}`).join(', '));
}
