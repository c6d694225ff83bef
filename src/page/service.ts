import { DecisionRefused, mayPromote, mayRollBack, rollbackTerms } from '../domain/lane/decisions.ts';
import type { LaneState, StageLane } from '../domain/lane/state.ts';
import type { Attribution } from '../domain/person.ts';
import type { RolloutRow } from '../operations/rollouts.ts';
import type { StageOverview } from '../operations/stage-overview.ts';
import { askForm, buttonForm } from './forms.ts';
import { type Children, type ComponentChild, div, el, h, p, type VNode } from './html.ts';
import { stageCell } from './now.ts';
import { dataTable, digestCode, rolloutLink, section, sign, since } from './parts.ts';
import { prose } from './prose.ts';
import { rolloutRows } from './rollouts.ts';
import { type AskedTag, tagQuestion } from './tag-question.ts';
import { shortDigest } from './text.ts';
import { at, type PageView, paths } from './view.ts';

interface ServicePageInput {
  readonly service: string;
  /** Absent: nothing was ever rolled out. */
  readonly lane?: LaneState | undefined;
  readonly stages: readonly StageOverview[];
  /** The newest. */
  readonly rollouts: readonly RolloutRow[];
  /** As YAML; absent: only a push would tell. */
  readonly configuration?: string | undefined;
  /** Absent: nobody can be asked what a push of it would do. */
  readonly tag?: { readonly asked: AskedTag | undefined } | undefined;
}

/** One service: what its stages run, what they ran, where they can be brought to, and how it is configured. */
export function serviceBody(view: PageView, input: ServicePageInput): Children {
  const { service, lane, stages, rollouts, configuration, tag } = input;
  return [
    el('section', 'title', { 'aria-labelledby': 'title' }, el('h1', '', { id: 'title' }, service)),
    lane?.hold !== undefined && heldCard(view, service, lane.hold),
    lane === undefined
      ? p('quiet', 'Nothing of it has been rolled out yet.')
      : section('stages', 'Stages', div('cards', ...stages.map((stage) => stageCard(view, service, lane, stage)))),
    lane !== undefined && quarantineOf(view, service, lane),
    rollouts.length > 0 &&
      section(
        'rollouts',
        'Rollouts',
        rolloutRows(view, `Rollouts of ${service}`, rollouts),
        p('', h('a', { href: at(view, paths.rollouts({ service })) }, 'All of them')),
      ),
    tag !== undefined && tagQuestion(view, service, tag.asked),
    configuration !== undefined &&
      section(
        'configuration',
        'Configuration as resolved',
        el('pre', 'log', { tabindex: 0, role: 'group', 'aria-label': 'Configuration' }, configuration),
      ),
    view.viewer.mayOperate && lane?.hold === undefined && div('end-of-page', holdForm(view, service)),
  ];
}

function heldCard(view: PageView, service: string, { by, reason, at: from }: Attribution): VNode {
  const release = buttonForm(view, {
    action: paths.lane(service),
    fields: { verb: 'release' },
    text: 'Release',
    kind: 'primary',
    label: `Release ${service}`,
  });
  return div(
    'card wait',
    p('', sign('wait'), ` Held by ${by}, `, since(view, from), reason === undefined ? '' : `: ${reason}`),
    view.viewer.mayOperate && div('decisions', release),
  );
}

function holdForm(view: PageView, service: string, stage?: string): VNode {
  const what = stage ?? service;
  return askForm(view, {
    ...{
      action: paths.lane(service),
      fields: { verb: 'hold', stage },
      text: 'Hold…',
      label: `Hold ${what}…`,
      confirm: `Hold ${what}`,
      needsReason: true,
    },
    explanation: `No rollout changes ${stage === undefined ? 'any stage' : stage} until it is released.`,
  });
}

function stageCard(view: PageView, service: string, lane: LaneState, overview: StageOverview): VNode {
  const { stage: name, running } = overview;
  const stage = lane.stages[name] ?? { turn: 0, waiters: [] };
  return el(
    'article',
    `card ${running?.health === 'unhealthy' ? 'bad' : ''}`,
    { 'data-key': name, 'aria-labelledby': `stage-${name}` },
    el('h3', '', { id: `stage-${name}` }, name),
    stageCell(view, overview),
    running !== undefined && p('', h('code', { title: running.digest }, `${running.repository}:${running.tag}`)),
    ...said(view, stage),
    earlierOf(view, lane, name),
    view.viewer.mayOperate && div('decisions', ...stageForms(view, service, lane, name, stage)),
  );
}

function said(view: PageView, { hold, pin, running }: StageLane): Children {
  return [
    hold !== undefined &&
      p('', sign('wait'), ` Held by ${hold.by}, `, since(view, hold.at), hold.reason === undefined ? '' : `: ${hold.reason}`),
    pin !== undefined &&
      p(
        '',
        sign('wait'),
        ' Pinned to ',
        digestCode(pin.digest),
        ` by ${pin.by}, `,
        since(view, pin.at),
        pin.reason === undefined ? '' : `: ${pin.reason}`,
      ),
    running?.cameAlong !== undefined && p('quiet', `Came along: ${running.cameAlong}`),
  ];
}

/** What it ran before, newest first, and what was rolled back since. */
function earlierOf(view: PageView, { stages, delivered = {} }: LaneState, name: string): VNode | false {
  const { running, earlier = [] } = stages[name] ?? {};
  const known = [running, ...earlier].map((run) => run?.digest);
  const others = (Object.hasOwn(delivered, name) ? (delivered[name] ?? []) : []).filter(({ digest }) => !known.includes(digest));
  const items = [
    ...earlier.map(({ rollout, tag, digest, since: from, until }) =>
      ran(digest, rolloutLink(view, rollout, tag), since(view, from), ' to ', since(view, until)),
    ),
    ...others.map(({ tag, digest, at: from }) => ran(digest, tag, 'from ', since(view, from), ', rolled back')),
  ];
  if (items.length === 0) return false;
  return h('details', null, h('summary', null, `What it ran before (${items.length})`), el('ul', 'plain-list', {}, ...items));
}

function ran(digest: string, image: ComponentChild, ...when: readonly ComponentChild[]): VNode {
  return h('li', null, image, ' ', digestCode(digest), ' ', el('span', 'quiet', {}, ...when));
}

function stageForms(view: PageView, service: string, lane: LaneState, name: string, stage: StageLane): Children {
  const isStopped = stage.hold !== undefined || stage.pin !== undefined;
  const release = {
    action: paths.lane(service),
    fields: { verb: 'release', stage: name },
    text: 'Release',
    label: `Release ${name}`,
  };
  return [
    isStopped && buttonForm(view, release),
    stage.hold === undefined && holdForm(view, service, name),
    stage.pin === undefined && stage.running !== undefined && pinForm(view, service, name, stage.running.digest),
    rollbackForm(view, service, lane, name),
    promoteForm(view, service, lane, name),
  ];
}

function pinForm(view: PageView, service: string, name: string, digest: string): VNode {
  return askForm(view, {
    ...{
      action: paths.lane(service),
      fields: { verb: 'pin', stage: name, digest },
      text: 'Pin…',
      label: `Pin ${name}…`,
      confirm: `Pin ${name}`,
      needsReason: true,
    },
    explanation: [`${name} stays on what it runs, `, digestCode(digest), ', until it is released.'],
  });
}

/** From what to what, before it is done; absent where there is nothing to go back to. */
function rollbackForm(view: PageView, service: string, lane: LaneState, name: string): VNode | false {
  const terms = orNothing(() => {
    const running = mayRollBack(lane, name);
    return { ...rollbackTerms(structuredClone(lane), name, running), digest: running.digest };
  });
  if (terms === undefined) return false;
  const { from, to, behind, unpins, digest } = terms;
  const more = [
    behind !== undefined && ` It waits for ${behind}, which changes ${name} now.`,
    unpins === true && ' The pin ends with it.',
  ];
  return askForm(view, {
    ...{
      action: paths.lane(service),
      fields: { verb: 'rollback', stage: name, digest },
      text: 'Roll back…',
      kind: 'danger',
      needsReason: true,
    },
    ...{ label: `Roll back ${name}…`, confirm: `Roll back ${name}` },
    explanation: [`Rolls ${name} back`, ...fromTo(from, to), 'The digest that runs now goes into quarantine.', ...more],
  });
}

function fromTo(from: string, to: string): ComponentChild[] {
  const row = (word: string, text: string) => div('', h('dt', null, word), h('dd', null, h('code', null, text)));
  return [el('dl', 'facts from-to', {}, row('from', from), row('to', to))];
}

/** What other stages run or ran, and this one does not. */
function promoteForm(view: PageView, service: string, lane: LaneState, name: string): VNode | false {
  const known = new Map<string, string>();
  for (const [stage, { running, earlier = [] }] of Object.entries(lane.stages)) {
    for (const image of running === undefined ? earlier : [running, ...earlier]) {
      if (!known.has(image.digest))
        known.set(image.digest, `${image.tag} (${shortDigest(image.digest)}), ${image === running ? 'runs' : 'ran'} in ${stage}`);
    }
  }
  const candidates = [...known].filter(([digest]) => orNothing(() => mayPromote(lane, name, digest)) !== undefined);
  if (candidates.length === 0) return false;
  // Without a first one that is none, a browser would choose another where the chosen one goes.
  const options = [['', 'choose one'], ...candidates].map(([digest, text]) => h('option', { value: digest }, text));
  const running = lane.stages[name]?.running;
  const from = running === undefined ? '' : ` It runs ${running.tag} (${shortDigest(running.digest)}) now.`;
  return askForm(view, {
    ...{ action: paths.lane(service), fields: { verb: 'promote', stage: name }, text: 'Promote…', needsReason: false },
    ...{
      label: `Promote to ${name}…`,
      confirm: `Promote to ${name}`,
      explanation: `Brings an image that is known to ${name}, by its digest, as a rollout with all of the stage's own steps.${from}`,
    },
    more: [h('label', null, 'Image', h('select', { name: 'digest', required: true }, ...options))],
  });
}

function orNothing<Result>(ask: () => Result): Result | undefined {
  try {
    return ask();
  } catch (error) {
    if (error instanceof DecisionRefused) return undefined;
    throw error;
  }
}

function quarantineOf(view: PageView, service: string, { quarantine }: LaneState): VNode | false {
  const entries = Object.entries(quarantine);
  if (entries.length === 0) return false;
  const rows = entries.map(([digest, { reason, by, at: from }]) => ({
    key: digest,
    cells: [
      digestCode(digest),
      el('span', 'reason', {}, ...prose(reason)),
      by ?? '',
      since(view, from),
      view.viewer.mayOperate ? freeForm(view, service, digest) : '',
    ],
  }));
  return section('quarantine', 'Quarantine', dataTable('Quarantine', ['Digest', 'Why', 'By', 'When', ''], rows));
}

function freeForm(view: PageView, service: string, digest: string): VNode {
  const fields = { verb: 'unquarantine', digest };
  return buttonForm(view, {
    action: paths.lane(service),
    fields,
    text: 'Let go',
    label: `Let go: ${shortDigest(digest)} leaves quarantine`,
  });
}
