import type { UpdateDefinition } from '@temporalio/common';
import { setHandler } from '@temporalio/workflow';
import {
  holdUpdate,
  type LaneDecision,
  pinUpdate,
  promoteUpdate,
  quarantineUpdate,
  type RolloutStart,
  releaseUpdate,
  rollbackUpdate,
  unquarantineUpdate,
} from '../../contracts/messages.ts';
import { rollbackId, rolloutId } from '../../contracts/start-options.ts';
import {
  freeFromQuarantine,
  hold,
  mayHold,
  mayPin,
  mayQuarantine,
  mayRelease,
  mayUnquarantine,
  pin,
  putInQuarantine,
  releaseHold,
} from '../../domain/lane/decisions.ts';
import { DecisionRefused } from '../../domain/lane/refused.ts';
import { countRollback, mayPromote, mayRollBack, rollbackTerms } from '../../domain/lane/rollback.ts';
import type { Running } from '../../domain/lane/running.ts';
import type { Attribution, LaneState } from '../../domain/lane/state.ts';
import { typedName } from '../../domain/person.ts';
import { attributionOf } from '../attribution.ts';
import { recordDecision } from '../audit.ts';
import { refusing } from '../refusing.ts';
import type { LaneOutbox } from './outbox.ts';

/** More than these wait for Temporal only where it takes nothing that the lane starts. */
const mostPendingStarts = 5;

interface Lane {
  readonly service: string;
  readonly memory: LaneState;
  readonly outbox: LaneOutbox;
}

/** What a lane answers to one verb of operators. Registers its handler. */
type LaneVerb = (lane: Lane) => void;

/** What operators can say to a lane: whether it applies, and what it does. Operators may type anything, or nothing. */
const verbs: Readonly<Record<string, LaneVerb>> = {
  hold: verb(
    holdUpdate,
    ({ memory }, typed) => mayHold(memory, typed?.stage),
    (lane, typed, _, author) => {
      hold(lane.memory, typed?.stage, author);
      record(lane, 'hold', author, { stage: typed?.stage });
      return lane.memory;
    },
  ),
  release: verb(
    releaseUpdate,
    ({ memory }, typed) => mayRelease(memory, typed?.stage),
    (lane, typed, _, author) => {
      const freed = releaseHold(lane.memory, typed?.stage);
      lane.outbox.nudge(freed, `${typed?.stage ?? 'everything'} was released by ${author.by}`);
      record(lane, 'release', author, { stage: typed?.stage });
      return lane.memory;
    },
  ),
  pin: verb(
    pinUpdate,
    ({ memory }, typed) => mayPin(memory, required(typed, 'stage'), required(typed, 'digest')),
    (lane, { stage }, digest, author) => {
      const waiting = pin(lane.memory, stage, digest, author);
      lane.outbox.nudge(waiting, `${stage} was pinned to ${digest} by ${author.by}`);
      record(lane, 'pin', author, { stage, digest });
      return lane.memory;
    },
  ),
  quarantine: verb(
    quarantineUpdate,
    ({ memory }, typed) => mayQuarantine(memory, required(typed, 'digest')),
    (lane, _, digest, author) => {
      lane.outbox.nudge(putInQuarantine(lane.memory, digest, author), `${digest} was put in quarantine by ${author.by}`);
      record(lane, 'quarantine', author, { digest });
      return lane.memory;
    },
  ),
  unquarantine: verb(
    unquarantineUpdate,
    ({ memory }, typed) => mayUnquarantine(memory, required(typed, 'digest')),
    (lane, _, digest, author) => {
      lane.outbox.nudge(freeFromQuarantine(lane.memory, digest), `${digest} was taken out of quarantine by ${author.by}`);
      record(lane, 'unquarantine', author, { digest });
      return lane.memory;
    },
  ),
  rollback: verb(
    rollbackUpdate,
    (lane, typed) => rollbackOf(lane, required(typed, 'stage')),
    (lane, { stage }, running, author) => {
      const { service, memory, outbox } = lane;
      const workflow = rollbackId(service, stage, countRollback(memory, stage));
      outbox.pendingStarts.push({ kind: 'rollback', start: { service, stage, running, ...author, workflow } });
      record(lane, 'rollback', author, { stage, started: workflow });
      return { workflow, ...rollbackTerms(memory, stage, running) };
    },
  ),
  promote: verb(
    promoteUpdate,
    (lane, typed) => promotionOf(lane, required(typed, 'stage'), required(typed, 'digest'), typed),
    (lane, { stage }, start, author) => {
      lane.outbox.pendingStarts.push({ kind: 'promotion', start });
      const workflow = rolloutId(start.plan.service, start.image);
      record(lane, 'promote', author, { stage, digest: start.image.digest, started: workflow });
      return { workflow };
    },
  ),
};

export function answerOperators(lane: Lane): void {
  for (const answer of Object.values(verbs)) answer(lane);
}

/**
 * @param validate whether a decision applies, asked before it is taken and again when it is applied; throws `DecisionRefused`
 * @param apply does it, with what the validator found
 */
function verb<Typed extends LaneDecision, Found, Answer>(
  update: UpdateDefinition<Answer, [Typed]>,
  validate: (lane: Lane, typed: Typed) => Found,
  apply: (lane: Lane, typed: Typed, found: Found, author: Attribution) => Answer,
): LaneVerb {
  return (lane) =>
    setHandler(
      update,
      refusing((typed: Typed) => apply(lane, typed, validate(lane, typed), attributionOf(typed))),
      { validator: refusing((typed: Typed) => void validate(lane, typed)) },
    );
}

interface DecidedOn {
  readonly stage?: string | undefined;
  readonly digest?: string;
  readonly started?: string;
}

/** A lane learns its repository from the rollouts that enter, and may not know it yet. */
function record({ service, memory }: Lane, action: string, author: Attribution, { stage, ...on }: DecidedOn): void {
  const repository = Object.values(memory.stages).find(({ running }) => running !== undefined)?.running?.image.repository;
  recordDecision(action, author, { service, repository: repository ?? null, ...on, ...(stage !== undefined && { stage }) });
}

/** @throws DecisionRefused */
function rollbackOf({ memory, outbox }: Lane, stage: string): Running {
  requireRoom(outbox);
  const pending = outbox.pendingStarts.find(({ kind, start }) => kind === 'rollback' && start.stage === stage);
  if (pending?.kind === 'rollback')
    throw new DecisionRefused(`${stage} is being rolled back already, by ${pending.start.workflow}`);
  return mayRollBack(memory, stage);
}

/** @throws DecisionRefused */
function promotionOf({ memory, outbox }: Lane, stage: string, typedDigest: string, typed: LaneDecision): RolloutStart {
  requireRoom(outbox);
  const { image, plan } = mayPromote(memory, stage, typedDigest);
  const { repository, tag, digest } = image;
  const rollout = rolloutId(plan.service, image);
  const isPending = outbox.pendingStarts.some(({ kind, start }) => kind === 'promotion' && start.image.digest === digest);
  if (isPending || memory.members[rollout] !== undefined) {
    throw new DecisionRefused(`${rollout} is under way: wait until it has ended, or abort it, and promote then`);
  }
  const { by, reason, at } = attributionOf(typed);
  const deliveryId = `promotion to ${stage} at ${at}`;
  const push = { repository, tag, digest, source: 'operator', deliveryId, actor: typedName(typed.by), receivedAt: at };
  return {
    plan,
    image: { repository, tag, digest },
    push,
    manual: true,
    promotion: { by, ...(reason !== undefined && { reason }) },
  };
}

function requireRoom({ pendingStarts }: LaneOutbox): void {
  if (pendingStarts.length >= mostPendingStarts)
    throw new DecisionRefused(`${pendingStarts.length} workflows wait for being started: try again in a minute`);
}

function required<Key extends 'stage' | 'digest'>(typed: { readonly [key in Key]?: string } | undefined, key: Key): string {
  const value: unknown = typed?.[key];
  if (typeof value === 'string' && value.trim() !== '') return value;
  throw new DecisionRefused(`which ${key}? Expected {"${key}": "..."}`);
}
