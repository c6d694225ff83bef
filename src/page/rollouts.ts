import { rolloutStatuses, shortRollout } from '../domain/rollout-state.ts';
import type { RolloutPage } from '../operations/rollout-page.ts';
import type { RolloutRow } from '../operations/rollouts.ts';
import { type Children, type ComponentChild, el, h, isWebPage, outsideLink, p, span, type VNode } from './html.ts';
import { dataTable, digestCode, pill, rolloutLink, serviceLink, since } from './parts.ts';
import { prose } from './prose.ts';
import { at, type PageView, paths } from './view.ts';

/** As it stands in the URL; what is absent is not asked for. */
export type RolloutsFilter = Readonly<Partial<Record<(typeof filterKeys)[number], string>>>;
export const filterKeys = ['service', 'status', 'image', 'digest', 'stage', 'text', 'from', 'to', 'cursor'] as const;

interface RolloutsInput {
  readonly filter: RolloutsFilter;
  /** Absent: the filter is not right, and the message says why. */
  readonly page?: RolloutPage | undefined;
  /** Names that can be chosen from. */
  readonly services: readonly string[];
}

/** All rollouts, by filters that live in the URL, page by page. */
export function rolloutsBody(view: PageView, { filter, page, services }: RolloutsInput): Children {
  const { cursor, ...kept } = filter;
  const isFiltered = Object.keys(kept).length > 0;
  return [
    h('h1', null, 'Rollouts'),
    filterForm(view, filter, services),
    ...(page === undefined ? [] : [listOf(view, page, isFiltered)]),
    el(
      'nav',
      'pages',
      { 'aria-label': 'Pages of the list' },
      cursor !== undefined && h('a', { href: at(view, paths.rollouts(kept)) }, 'Back to the newest'),
      page?.next !== undefined &&
        el('a', 'button', { href: at(view, paths.rollouts({ ...kept, cursor: page.next })), rel: 'next' }, 'Older'),
    ),
  ];
}

function listOf(view: PageView, { rows, next }: RolloutPage, isFiltered: boolean): VNode {
  if (rows.length > 0) return rolloutRows(view, 'Rollouts', rows);
  if (next !== undefined) return p('quiet', 'None among the newest ones: older ones may fit.');
  return p(
    'quiet',
    isFiltered ? 'No rollout fits. ' : 'There is none yet. ',
    isFiltered && h('a', { href: at(view, paths.rollouts()) }, 'Show all'),
  );
}

export function rolloutRows(view: PageView, label: string, rows: readonly RolloutRow[]): VNode {
  const shown = rows.map((row): { key: string; cells: ComponentChild[] } => ({ key: row.runId, cells: rowCells(view, row) }));
  return dataTable(label, ['Rollout', 'Digest', 'Status', 'Stage', 'What happened', 'When'], shown);
}

function rowCells(
  view: PageView,
  { rollout, service, image, digest, status, stage, reason, proposal, changedAt }: RolloutRow,
): ComponentChild[] {
  const tag = image.slice(image.lastIndexOf(':') + 1);
  const isRollback = shortRollout(rollout) === rollout;
  return [
    [serviceLink(view, service), ' ', rolloutLink(view, rollout, isRollback ? `rollback of ${tag}` : tag)],
    digestCode(digest),
    pill(status),
    stage ?? '',
    [
      span('reason', ...prose(reason ?? '')),
      proposal !== undefined && isWebPage(proposal) && [' ', outsideLink(proposal, 'change')],
    ],
    since(view, changedAt),
  ];
}

function filterForm(view: PageView, filter: RolloutsFilter, services: readonly string[]): VNode {
  const text = (name: keyof RolloutsFilter, label: string, more: Readonly<Record<string, string>> = {}) =>
    h('label', null, label, h('input', { name, value: filter[name] ?? '', autocomplete: 'off', ...more }));
  const extra = (['image', 'digest', 'stage', 'from', 'to'] as const).some((name) => filter[name] !== undefined);
  return el(
    'form',
    'filters',
    { method: 'get', action: at(view, paths.rollouts()), role: 'search', 'aria-label': 'Filters' },
    choice('service', 'Service', filter.service, services),
    choice('status', 'Status', filter.status, rolloutStatuses),
    text('text', 'Text', { type: 'search', placeholder: 'tag, digest, reason' }),
    h(
      'details',
      extra ? { open: true } : null,
      el('summary', 'button', {}, 'More'),
      text('image', 'Image', { placeholder: 'repository:tag' }),
      text('digest', 'Digest', { placeholder: 'first 7 digits' }),
      text('stage', 'Stage'),
      text('from', 'From', { placeholder: '2026-01-31T08:00:00Z' }),
      text('to', 'To', { placeholder: '2026-01-31T09:00:00Z' }),
    ),
    el('button', 'button primary', { type: 'submit' }, 'Show'),
  );
}

function choice(name: string, label: string, chosen: string | undefined, values: readonly string[]): VNode {
  const all = chosen === undefined || values.includes(chosen) ? values : [chosen, ...values];
  const options = all.map((value) => h('option', { value, ...(value === chosen && { selected: true }) }, value));
  return h('label', null, label, h('select', { name }, h('option', { value: '' }, 'all'), ...options));
}
