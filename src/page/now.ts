import type { OpenQuestion } from '../domain/open-questions.ts';
import { nameOf, type StepState, shortRollout } from '../domain/rollout-state.ts';
import type { AskingRollout, Overview, RolloutUnderWay, ServiceOverview } from '../operations/overview.ts';
import type { RolloutRow } from '../operations/rollouts.ts';
import type { StageHealth, StageOverview } from '../operations/stage-overview.ts';
import { askForm, buttonForm, questionForms, questionKey } from './forms.ts';
import { type Children, type ComponentChild, div, el, h, outsideLink, p, span, type VNode } from './html.ts';
import { digestCode, imageName, pill, rolloutLink, section, serviceLink, sign, since } from './parts.ts';
import { prose } from './prose.ts';
import { detailNodes } from './rollout/evidence.ts';
import { stepDots } from './rollout/timeline.ts';
import { rolloutRows } from './rollouts.ts';
import { counted } from './text.ts';
import { at, type PageView, paths } from './view.ts';

interface NowInput {
  readonly overview: Overview;
  /** What ended last. */
  readonly recent: readonly RolloutRow[];
  /** Of what runs, by run: its steps, as far as they were asked for. */
  readonly steps: ReadonlyMap<string, readonly StepState[]>;
  /** How to send the first push. */
  readonly firstPush: FirstPush;
}

/** What somebody has to know for whom there is nothing to see yet. */
export interface FirstPush {
  /** Where the configuration is. */
  readonly file: string;
  readonly services: number;
  /** URLs that pushes can be told at. */
  readonly webhooks: readonly string[];
}

/** What somebody on call has to know first: what needs a person, what goes on, what stands still, and what runs where. */
export function nowBody(view: PageView, { overview, recent, steps, firstPush }: NowInput): Children {
  const { asking, underWay, services, globalHold, isCut } = overview;
  const asks = new Set(asking.map(({ runId }) => runId));
  const going = underWay.filter(({ runId }) => !asks.has(runId));
  const isEmpty =
    underWay.length === 0 &&
    recent.length === 0 &&
    services.every(({ stages }) => stages.every((stage) => stage.running === undefined));
  return [
    el('h1', 'hidden', {}, 'Now'),
    globalHold !== undefined && globalHoldCard(view, globalHold),
    summary(overview, going.length),
    asking.length > 0 &&
      section(
        'needs',
        `Needs a person`,
        div('cards', ...asking.map((rollout) => askingCard(view, rollout, asking.length <= mostOpen))),
      ),
    going.length > 0 &&
      section('going', 'Under way', el('ul', 'rows', {}, ...going.map((row) => goingRow(view, row, steps.get(row.runId) ?? [])))),
    isCut &&
      p(
        'quiet',
        'There is more under way than is shown: ',
        el('a', '', { href: at(view, paths.rollouts()) }, 'all rollouts'),
        '.',
      ),
    isEmpty && emptyCard(firstPush),
    services.length > 0 && section('services', 'Services', servicesTable(view, services)),
    recent.length > 0 && section('recent', 'Ended last', rolloutRows(view, 'What ended last', recent)),
    globalHold === undefined && services.length > 0 && holdEverything(view),
  ];
}

/** Of so many that ask, what was found is shown at once. */
const mostOpen = 4;

/** In one line. */
function summary({ asking, services }: Overview, going: number): VNode {
  const stages = services.flatMap((service) => service.stages);
  const stopped = stages.filter((stage) => stage.hold ?? stage.pin ?? stage.stopped).length;
  const held = services.filter((service) => service.hold !== undefined).length;
  const ill = stages.filter((stage) => stage.running?.health === 'unhealthy').length;
  const figures = [
    { count: asking.length, name: asking.length === 1 ? 'needs a person' : 'need a person', tone: 'bad' },
    { count: going, name: 'under way', tone: 'run' },
    { count: stopped + held, name: 'held or stopped', tone: 'wait' },
    { count: ill, name: 'unhealthy', tone: 'bad' },
    { count: services.length, name: services.length === 1 ? 'service' : 'services', tone: 'calm' },
  ];
  return el(
    'ul',
    'figures',
    { 'aria-label': 'In numbers' },
    ...figures.map(({ count, name, tone }) =>
      el('li', count > 0 ? tone : 'none', {}, el('span', 'count', {}, String(count)), ' ', name),
    ),
  );
}

function globalHoldCard(view: PageView, { by, reason, at: from }: NonNullable<Overview['globalHold']>): VNode {
  const release = buttonForm(view, {
    action: paths.hold(),
    fields: { verb: 'release' },
    text: 'Release everything',
    kind: 'primary',
  });
  return el(
    'section',
    'card wait',
    { 'aria-labelledby': 'held' },
    el('h2', '', { id: 'held' }, sign('wait'), 'Everything is held'),
    p('', `By ${by}, `, since(view, from), reason === undefined ? '' : `: ${reason}`),
    p('quiet', 'No rollout changes anything until it is released.'),
    view.viewer.mayOperate && div('decisions', release),
  );
}

function holdEverything(view: PageView): VNode | false {
  if (!view.viewer.mayOperate) return false;
  return div(
    'end-of-page',
    askForm(view, {
      ...{
        action: paths.hold(),
        fields: { verb: 'hold' },
        text: 'Hold everything…',
        confirm: 'Hold everything',
        needsReason: true,
        kind: 'danger',
      },
      explanation:
        'No rollout of any service changes anything until it is released. What has begun to change something is done first.',
    }),
  );
}

function askingCard(view: PageView, row: AskingRollout, isOpen: boolean): VNode {
  const { rollout, service, image, digest, questions } = row;
  const isBlocked = questions.some(({ asks }) => asks === 'decision');
  return el(
    'article',
    `card ${isBlocked ? 'bad' : 'wait'}`,
    { 'data-key': row.runId, 'aria-label': shortRollout(rollout) },
    el(
      'h3',
      'card-title',
      {},
      rolloutLink(view, rollout, h('strong', null, service), ' ', imageName(tagOf(image))),
      ' ',
      digestCode(digest),
      ' ',
      pill(isBlocked ? 'blocked' : 'waiting'),
      el('span', 'quiet right', {}, since(view, questions[0]?.since ?? row.changedAt)),
    ),
    ...questions.map((question) => questionPart(view, row, question, isOpen)),
  );
}

function questionPart(view: PageView, { rollout, digest }: AskingRollout, question: OpenQuestion, isOpen: boolean): VNode {
  const { reason, proposal, details, asks, failure } = question;
  const words = { decision: '', approval: '', merge: 'merge it, and it goes on; ' }[asks];
  const evidence = detailNodes(details);
  return el(
    'div',
    'question',
    { 'data-key': questionKey(question) },
    p(
      '',
      h('strong', null, nameOf(question)),
      failure !== undefined && [' ', el('code', 'failure', {}, failure)],
      ': ',
      words,
      ...prose(reason ?? ''),
    ),
    proposal !== undefined && p('', outsideLink(proposal, proposal)),
    evidence.length > 0 && h('details', isOpen ? { open: true } : null, h('summary', null, 'What was found'), ...evidence),
    questionForms(view, question, { rollout, digest }),
  );
}

function goingRow(view: PageView, row: RolloutUnderWay, steps: readonly StepState[]): VNode {
  const { rollout, service, image, digest, status, standing, changedAt, runId, stage } = row;
  const step = steps.findLast((known) => known.status === 'running');
  const said = standing ?? (step && nameOf(step)) ?? (stage === undefined ? 'its checks' : `in ${stage}`);
  return el(
    'li',
    'row',
    { 'data-key': runId },
    div(
      'row-name',
      rolloutLink(view, rollout, h('strong', null, service), ' ', imageName(tagOf(image))),
      ' ',
      digestCode(digest),
    ),
    div('', pill(status)),
    div('row-said', steps.length > 0 && stepDots(steps), ...prose(said)),
    div('quiet', since(view, changedAt)),
  );
}

/** The tag is what changes from one to the next; the repository is the service's. */
function tagOf(image: string): string {
  return image.slice(image.lastIndexOf(':') + 1);
}

/** Services by stages: what runs where, since when, and how it is. Stages of one name are in one column. */
function servicesTable(view: PageView, services: readonly ServiceOverview[]): VNode {
  const columns = [...new Set(services.flatMap(({ stages }) => stages.map(({ stage }) => stage)))];
  const head = h('tr', null, h('th', { scope: 'col' }, 'Service'), ...columns.map((name) => h('th', { scope: 'col' }, name)));
  const rows = services.map((service) => serviceRow(view, service, columns));
  return el('table', 'data matrix', { 'aria-label': 'What runs where' }, h('thead', null, head), h('tbody', null, ...rows));
}

function serviceRow(view: PageView, { service, hold, stages, problem }: ServiceOverview, columns: readonly string[]): VNode {
  const cells = columns.map((name) => {
    const stage = stages.find((candidate) => candidate.stage === name);
    return h(
      'td',
      { 'data-label': name, ...(stage === undefined && { class: 'none' }) },
      stage === undefined ? '' : stageCell(view, stage),
    );
  });
  const held =
    hold !== undefined && span('chip wait', `held by ${hold.by}${hold.reason === undefined ? '' : `: ${hold.reason}`}`);
  const told = problem !== undefined && span('chip bad', problem);
  return h('tr', { 'data-key': service }, h('th', { scope: 'row' }, serviceLink(view, service), held, told), ...cells);
}

export function stageCell(view: PageView, { running, hold, pin, stopped, turn, waiting }: StageOverview): ComponentChild {
  const chips = [
    hold !== undefined && span('chip wait', `held by ${hold.by}`),
    pin !== undefined && span('chip wait', 'pinned'),
    stopped !== undefined && hold === undefined && span('chip bad', stopped),
    turn !== undefined && el('span', 'chip run', {}, rolloutLink(view, turn.rollout, turn.changing ? 'changing' : 'next')),
    waiting > 0 && span('chip calm', `${counted(waiting, 'waits', 'wait')}`),
  ].filter((chip) => chip !== false);
  return div(
    'stage-cell',
    running === undefined
      ? span('quiet', '–', span('hidden', ' nothing that Landfall knows of'))
      : [
          div(
            '',
            el(
              'span',
              `health ${healthTone(running.health)}`,
              { title: running.health },
              sign(healthTone(running.health)),
              span('hidden', running.health),
            ),
            rolloutLink(view, running.rollout, running.tag),
            ' ',
            digestCode(running.digest),
          ),
          div('quiet', since(view, running.since)),
        ],
    chips.length > 0 && div('chips', ...chips),
  );
}

function healthTone(health: StageHealth): 'good' | 'bad' | 'run' | 'calm' {
  return ({ healthy: 'good', unhealthy: 'bad', watched: 'run', unknown: 'calm' } as const)[health];
}

const mostUrls = 4;

/** Nothing was ever rolled out here: the next thing to do. */
function emptyCard({ file, services, webhooks }: FirstPush): VNode {
  const urls = webhooks.slice(0, mostUrls).flatMap((url, index) => [index === 0 ? '' : ', or ', h('code', null, url)]);
  const steps = [
    services === 0 && [
      'Name a service in ',
      h('code', null, file),
      ': an image that is followed, and what happens to its pushes.',
    ],
    urls.length === 0
      ? ['Configure a receiver in ', h('code', null, file), ', so that pushes are told.']
      : ['Have your registry or CI send its webhook to ', ...urls, '.'],
    ['Push an image, or roll one out that is there: ', h('code', null, 'landfall trigger IMAGE:TAG'), '.'],
  ];
  return el(
    'section',
    'card empty',
    { 'aria-labelledby': 'first' },
    el('h2', '', { id: 'first' }, 'Nothing has been rolled out yet'),
    h('ol', null, ...steps.filter((step) => step !== false).map((step) => h('li', null, ...step))),
    p('quiet', 'It appears here by itself.'),
  );
}
