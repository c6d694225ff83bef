import { openQuestions } from '../../domain/open-questions.ts';
import type { Proposal } from '../../domain/outcomes.ts';
import { nameOfPerson } from '../../domain/person.ts';
import { type Approval, nameOf, type RunState, shortRollout, type TakenDecision } from '../../domain/rollout-state.ts';
import type { RolloutStory } from '../../operations/rollout-story.ts';
import { abortForm, questionForms, questionKey } from '../forms.ts';
import { type Children, div, el, h, outsideLink, p, span, type VNode } from '../html.ts';
import { dataTable, facts, pill, section, serviceLink, since } from '../parts.ts';
import { prose } from '../prose.ts';
import { shortDigest, shortDuration, utcTime } from '../text.ts';
import type { PageView } from '../view.ts';
import { changeDiff } from './diff.ts';
import { detailNodes } from './evidence.ts';
import { commitLink, registryLink } from './links.ts';
import { timeline } from './timeline.ts';

/** One rollout: what it asks, its story, what it changed, and who said what. */
export function rolloutBody(view: PageView, rollout: string, now: RolloutStory): Children {
  const { state, retries, execution } = now;
  const isOver = execution !== 'running';
  return [
    heading(view, rollout, now),
    waiverAlert(state),
    !isOver && asking(view, rollout, state),
    section('story', 'Story', timeline(view, { steps: state.steps, retries, endedAt: state.endedAt })),
    changes(view, state),
    said(state),
    !isOver && div('end-of-page', abortForm(view, rollout)),
  ];
}

function heading(view: PageView, rollout: string, { state, execution }: RolloutStory): VNode {
  const { image, service, startedAt, endedAt, reason } = state;
  const isOutside = execution !== 'running' && execution !== 'completed';
  const status = isOutside ? execution : state.status;
  const took = shortDuration((endedAt === undefined ? view.now : Date.parse(endedAt)) - Date.parse(startedAt));
  const temporal = view.linkTo?.(rollout);
  const isAsked = state.steps.some((step) => step.status === 'blocked' && step.reason === reason);
  return el(
    'section',
    'title',
    { 'aria-labelledby': 'title' },
    el('h1', '', { id: 'title' }, serviceLink(view, service), ' ', span('tag', image.tag), ' ', pill(status)),
    reason !== undefined && !isAsked && p('lead', ...prose(reason)),
    facts([
      ['Image', registryLink(image)],
      ...(image.digest === undefined ? [] : [['Digest', h('code', { title: image.digest }, image.digest)] as const]),
      ['Began', since(view, startedAt)],
      [endedAt === undefined ? 'Running for' : 'Took', took],
      ['Rollout', h('code', null, shortRollout(rollout))],
      ...(temporal === undefined ? [] : [['Temporal', outsideLink(temporal, 'its history')] as const]),
    ]),
  );
}

/** A waiver is nothing to be found out later. */
function waiverAlert({ waivers = [] }: RunState): VNode | false {
  if (waivers.length === 0) return false;
  const lines = waivers.map((waiver) =>
    h(
      'li',
      null,
      h('strong', null, nameOf(waiver)),
      waiver.of === 'other-changes' ? ': changes besides the image were let through by ' : ' was skipped by ',
      h('strong', null, waiver.by),
      `: ${waiver.reason} `,
      span('quiet', utcTime(waiver.at)),
    ),
  );
  return el(
    'section',
    'waivers',
    { 'aria-labelledby': 'waived' },
    el('h2', '', { id: 'waived' }, 'Waived'),
    h('ul', null, ...lines),
  );
}

function asking(view: PageView, rollout: string, state: RunState): VNode | false {
  const questions = openQuestions(rollout, state);
  if (questions.length === 0 || state.endedAt !== undefined) return false;
  const cards = questions.map((question) => {
    const { asks, reason, stage, details, proposal, since: from } = question;
    const title = {
      decision: `${nameOf(question)} is blocked`,
      approval: `${stage} waits for an approval`,
      merge: `${stage} waits for a person who merges it`,
    }[asks];
    return el(
      'article',
      `card ${asks === 'decision' ? 'bad' : 'wait'}`,
      { 'data-key': questionKey(question) },
      el('h3', 'card-title', {}, h('strong', null, title), el('span', 'quiet right', {}, since(view, from))),
      reason !== undefined && p('', ...prose(reason)),
      proposal !== undefined && p('', outsideLink(proposal, proposal)),
      ...detailNodes(details),
      questionForms(view, question, { rollout, digest: state.image.digest }),
    );
  });
  return section('asks', 'Needs a person', ...cards);
}

function changes(view: PageView, { proposals, service }: RunState): VNode | false {
  const entries = Object.entries(proposals);
  if (entries.length === 0) return false;
  return section('changes', 'Change', ...entries.map(([stage, proposal]) => change(view, stage, proposal, service)));
}

function change(_view: PageView, stage: string, proposal: Proposal, service: string): VNode {
  const { url, branch, base, head, foreign } = proposal;
  const name = proposal.kind === 'pull-request' ? `pull request #${proposal.number}` : `branch ${branch}`;
  return el(
    'article',
    'card',
    { 'data-key': stage },
    el('h3', '', {}, stage, ' ', span('quiet', 'into ', h('code', null, base))),
    p(
      '',
      outsideLink(url, name),
      ', commit ',
      commitLink(url, head),
      foreign === true && span('warn', ' with commits of others'),
    ),
    changeDiff(proposal, service),
  );
}

/** Who decided what, and why. A worker of an earlier version told of approvals and waivers alone. */
function said({ decisions, approvals = {}, waivers = [] }: RunState): VNode | false {
  const rows = decisions?.map(decisionRow) ?? [
    ...Object.entries(approvals).flatMap(([stage, all]) => all.map((given) => approvalRow(stage, given))),
    ...waivers.map((waiver) => decisionRow({ ...waiver, verb: 'skip' })),
  ];
  if (rows.length === 0) return false;
  const sorted = [...rows].sort((one, other) => one.at.localeCompare(other.at));
  const shown = sorted.map(({ at, by, what, why }) => ({ key: `${at}/${what}`, cells: [utcTime(at), by, what, why] }));
  return section('said', 'Who decided', dataTable('Decisions', ['When', 'Who', 'What', 'Why'], shown));
}

interface DecisionRow {
  readonly at: string;
  readonly by: string;
  readonly what: string;
  readonly why: string;
}

function decisionRow({ verb, step, stage, by, at, reason = '', way }: TakenDecision): DecisionRow {
  const where = step === undefined ? (stage ?? '') : nameOf({ step, ...(stage !== undefined && { stage }) });
  return { at, by, what: `${verb} ${where}${way === 'review' ? ', by a review' : ''}`.trim(), why: reason };
}

function approvalRow(stage: string, { at, by, verified, way, reason = '' }: Approval): DecisionRow {
  return {
    at,
    by: nameOfPerson({ by, verified }),
    what: `approve ${stage}${way === 'review' ? ', by a review' : ''}`,
    why: reason,
  };
}

export function rolloutTitle({ state: { service, image } }: RolloutStory): string {
  return `${service} ${image.tag} ${image.digest === undefined ? '' : shortDigest(image.digest)}`.trimEnd();
}
