import { isPartOf } from '../../contracts/activities/steps.ts';
import type { StepState } from '../../domain/rollout-state.ts';
import type { Retry } from '../../operations/rollouts.ts';
import { type ComponentChild, div, el, h, span, type VNode } from '../html.ts';
import { sign, toneOf } from '../parts.ts';
import { prose } from '../prose.ts';
import { shortDuration, utcTime } from '../text.ts';
import type { PageView } from '../view.ts';
import { detailNodes } from './evidence.ts';
import { type FoldedScale, foldedScale } from './scale.ts';

interface TimelineInput {
  readonly steps: readonly StepState[];
  readonly retries: readonly Retry[];
  readonly endedAt?: string | undefined;
}

/** The story of a rollout: its checks, then each stage, every step with its time on one line. */
export function timeline(view: PageView, { steps, retries, endedAt }: TimelineInput): VNode {
  const until = endedAt === undefined ? view.now : Date.parse(endedAt);
  const spans = steps.flatMap((step) => spanOf(step, until) ?? []);
  const scale = foldedScale(spans);
  const groups = [...Map.groupBy(steps, ({ stage }) => stage ?? '')];
  return div(
    'timeline',
    ...groups.map(([stage, ofStage]) =>
      div(
        'group',
        h('h3', null, stage === '' ? 'Checks of the image' : stage),
        el('ol', 'steps', {}, ...stepItems(view, ofStage, { retries, scale, until })),
      ),
    ),
    ...scale.folds.map(({ from, to }) =>
      el(
        'p',
        'quiet fold-note',
        {},
        `Folded: ${shortDuration(to - from)} of waiting from ${utcTime(new Date(from).toISOString())}.`,
      ),
    ),
  );
}

interface StepContext {
  readonly retries: readonly Retry[];
  readonly scale: FoldedScale;
  readonly until: number;
}

/** What is still to come is one line. */
function stepItems(view: PageView, steps: readonly StepState[], context: StepContext): VNode[] {
  const last = steps.findLastIndex(({ status }) => status !== 'pending');
  const toCome = steps.slice(last + 1).map(({ step }) => step);
  const items = steps.slice(0, last + 1).map((step) => stepItem(view, step, context));
  if (toCome.length === 0) return items;
  const names = el(
    'li',
    'step pending',
    { 'data-key': 'pending' },
    div('step-name', sign('calm'), span('hidden', 'Still to come: '), toCome.join(', ')),
  );
  return [...items, names];
}

function stepItem(view: PageView, step: StepState, context: StepContext): VNode {
  const { status } = step;
  const retry = status === 'running' ? context.retries.find((known) => isPartOf(step.step, known.step)) : undefined;
  // What stands still is shown above, with what can be done about it.
  const details = status === 'blocked' ? [] : detailNodes(step.details);
  const tone = toneOf(status);
  return el(
    'li',
    `step ${tone} ${status}`,
    { 'data-key': `${step.stage ?? ''}/${step.step}` },
    div(
      'step-name',
      sign(tone),
      h('strong', null, step.step),
      status === 'passed' ? span('hidden', status) : span('quiet', status),
    ),
    div('step-bar', stepBar(step, context)),
    div('step-took', durationOf(view, step)),
    div(
      'step-said',
      ...saidOf(step, retry),
      details.length > 0 &&
        h('details', step.failure === undefined ? null : { open: true }, h('summary', null, 'What was found'), ...details),
    ),
  );
}

function saidOf({ reason, failure }: StepState, retry: Retry | undefined): ComponentChild[] {
  const tried =
    retry === undefined ? undefined : `${retry.attempt > 1 ? `attempt ${retry.attempt}, because of: ` : ''}${retry.lastFailure}`;
  return [
    failure !== undefined && el('code', 'failure', {}, failure),
    failure !== undefined && ' ',
    ...prose(tried ?? reason ?? ''),
  ];
}

function stepBar(step: StepState, { scale, until }: StepContext): VNode | null {
  const span = spanOf(step, until);
  if (span === undefined) return null;
  const begin = scale.place(span.from);
  const width = Math.max(0.8, scale.place(span.to) - begin);
  const folds = scale.folds.map(({ place }) =>
    h('line', { x1: `${place.toFixed(2)}%`, x2: `${place.toFixed(2)}%`, y1: 0, y2: 12, class: 'fold' }),
  );
  const x = Math.min(begin, 99.2);
  const bar = h('rect', {
    x: `${x.toFixed(2)}%`,
    y: 2,
    width: `${width.toFixed(2)}%`,
    height: 8,
    rx: 3,
    class: toneOf(step.status),
  });
  return el('svg', 'bar', { width: '100%', height: 12, 'aria-hidden': 'true' }, ...folds, bar);
}

function spanOf({ startedAt, endedAt, status }: StepState, until: number): { from: number; to: number } | undefined {
  if (startedAt === undefined) return undefined;
  const from = Date.parse(startedAt);
  // What waits for a person is not work: its wait is folded.
  const isOpen = status === 'running';
  const to = endedAt === undefined ? (isOpen ? until : from) : Date.parse(endedAt);
  return { from, to: Math.max(from, to) };
}

function durationOf({ now }: PageView, { startedAt, endedAt, status }: StepState): ComponentChild {
  if (startedAt === undefined) return '';
  if (endedAt !== undefined) {
    return el(
      'span',
      '',
      { title: `${utcTime(startedAt)} to ${utcTime(endedAt)}` },
      shortDuration(Date.parse(endedAt) - Date.parse(startedAt)),
    );
  }
  const attributes = { datetime: startedAt, 'data-running': 'true', title: `since ${utcTime(startedAt)}` };
  return status === 'pending' ? '' : h('time', attributes, shortDuration(now - Date.parse(startedAt)));
}

/** Its steps as a row of signs, for lists. */
export function stepDots(steps: readonly StepState[]): VNode {
  const dots = steps.map(({ step, stage, status }) => {
    const name = stage === undefined ? step : `${step} (${stage})`;
    return el('span', `dot ${toneOf(status)} ${status}`, { title: `${name}: ${status}` });
  });
  return el('span', 'dots', { 'aria-hidden': 'true' }, ...dots);
}
