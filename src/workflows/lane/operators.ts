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
import type { DecisionEntry } from '../../domain/audit.ts';
import { operatorPush } from '../../domain/image-push.ts';
import {
  countRollback,
  DecisionRefused,
  freeFromQuarantine,
  hold,
  mayName,
  mayPin,
  mayPromote,
  mayQuarantine,
  mayRelease,
  mayRollBack,
  mayUnquarantine,
  pin,
  putInQuarantine,
  releaseHold,
  rollbackTerms,
} from '../../domain/lane/decisions.ts';
import type { LaneState, Running } from '../../domain/lane/state.ts';
import { type Attribution, nameOfPerson, type Person } from '../../domain/person.ts';
import { recordDecision } from '../audit.ts';
import { attributionOf, type DecisionCounter, refusing } from '../operator-decision.ts';
import type { LaneOutbox } from './outbox.ts';

/** More than these wait for Temporal only where it takes nothing that the lane starts. */
const mostPendingStarts = 5;

interface Lane {
  readonly service: string;
  readonly memory: LaneState;
  readonly outbox: LaneOutbox;
  readonly counter: DecisionCounter;
}

/** What is told of a decision, beside who made it. */
type DecisionTarget = Pick<DecisionEntry, 'digest' | 'started'> & { readonly stage?: string | undefined };

/**
 * Registers what a lane answers to one verb of operators, who may type anything, or nothing.
 * @param validate whether a decision applies, asked before it is taken and again when it is applied; throws `DecisionRefused`
 * @param apply does it, with what the validator found, and gives the answer and what was decided on. `proven` is the operator whose token
 *   proves it, if any does
 */
function verb<Typed extends LaneDecision, Found, Answer>(
  update: UpdateDefinition<Answer, [Typed]>,
  validate: (lane: Lane, typed: Typed) => Found,
  apply: (lane: Lane, typed: Typed, found: Found, author: Attribution, proven?: Person) => readonly [Answer, DecisionTarget],
): (lane: Lane) => void {
  return (lane) => {
    const take = (typed: Typed, proven?: Person): Answer => {
      const author = attributionOf(typed, proven);
      const [answer, { stage, ...on }] = apply(lane, typed, validate(lane, typed), author, proven);
      recordDecision(update.name, author, { ...aboutLane(lane), ...on, ...(stage !== undefined && { stage }) });
      return answer;
    };
    const taken = refusing(take);
    setHandler(update, (typed: Typed) => lane.counter.withProof(update.name, typed, (proven) => taken(typed, proven)), {
      validator: lane.counter.validator(
        update.name,
        refusing((typed: Typed) => void validate(lane, typed)),
      ),
    });
  };
}

/** A lane learns its repository from the rollouts that enter, and may not know it yet. */
export function aboutLane({ service, memory }: Pick<Lane, 'service' | 'memory'>) {
  const known = Object.values(memory.stages).find(({ running }) => running !== undefined);
  return { service, repository: known?.running?.image.repository ?? null };
}

/** What operators can say to a lane: whether it applies, and what it does. */
const verbs = [
  verb(
    holdUpdate,
    ({ memory }, typed) => mayName(memory, typed?.stage),
    ({ memory }, typed, _, author) => {
      hold(memory, typed?.stage, author);
      return [memory, { stage: typed?.stage }];
    },
  ),
  verb(
    releaseUpdate,
    ({ memory }, typed) => mayRelease(memory, typed?.stage),
    ({ memory, outbox }, typed, _, { by }) => {
      outbox.nudge(releaseHold(memory, typed?.stage), `${typed?.stage ?? 'everything'} was released by ${by}`);
      return [memory, { stage: typed?.stage }];
    },
  ),
  verb(
    pinUpdate,
    ({ memory }, typed) => mayPin(memory, required(typed, 'stage'), required(typed, 'digest')),
    ({ memory, outbox }, { stage }, digest, author) => {
      outbox.nudge(pin(memory, stage, digest, author), `${stage} was pinned to ${digest} by ${author.by}`);
      return [memory, { stage, digest }];
    },
  ),
  verb(
    quarantineUpdate,
    ({ memory }, typed) => mayQuarantine(memory, required(typed, 'digest')),
    ({ memory, outbox }, _, digest, author) => {
      outbox.nudge(putInQuarantine(memory, digest, author), `${digest} was put in quarantine by ${author.by}`);
      return [memory, { digest }];
    },
  ),
  verb(
    unquarantineUpdate,
    ({ memory }, typed) => mayUnquarantine(memory, required(typed, 'digest')),
    ({ memory, outbox }, _, digest, { by }) => {
      outbox.nudge(freeFromQuarantine(memory, digest), `${digest} was taken out of quarantine by ${by}`);
      return [memory, { digest }];
    },
  ),
  verb(
    rollbackUpdate,
    (lane, typed) => rollbackOf(lane, required(typed, 'stage'), typed.digest),
    ({ service, memory, outbox }, { stage }, running, author) => {
      const workflow = rollbackId(service, stage, countRollback(memory, stage));
      outbox.pendingStarts.push({ kind: 'rollback', start: { service, stage, running, ...author, workflow } });
      return [
        { workflow, ...rollbackTerms(memory, stage, running) },
        { stage, started: workflow },
      ];
    },
  ),
  verb(
    promoteUpdate,
    (lane, typed) => promotable(lane, required(typed, 'stage'), required(typed, 'digest')),
    ({ outbox }, { stage }, found, author, proven) => {
      const start = promotionOf(found, stage, author, proven);
      outbox.pendingStarts.push({ kind: 'promotion', start });
      const workflow = rolloutId(start.plan.service, start.image);
      return [
        { workflow, at: author.at },
        { stage, digest: start.image.digest, started: workflow },
      ];
    },
  ),
];

export function answerOperators(lane: Lane): void {
  for (const answer of verbs) answer(lane);
}

/** @throws DecisionRefused */
function rollbackOf({ memory, outbox }: Lane, stage: string, seen: string | undefined): Running {
  requireRoom(outbox);
  const pending = outbox.pendingStarts.find(({ kind, start }) => kind === 'rollback' && start.stage === stage);
  if (pending?.kind === 'rollback')
    throw new DecisionRefused(`${stage} is being rolled back already, by ${pending.start.workflow}`);
  return mayRollBack(memory, stage, seen);
}

/** @throws DecisionRefused */
function promotable({ memory, outbox }: Lane, stage: string, typedDigest: string): Promotable {
  requireRoom(outbox);
  const { image, plan } = mayPromote(memory, stage, typedDigest);
  const { repository, tag, digest } = image;
  const rollout = rolloutId(plan.service, image);
  const isPending = outbox.pendingStarts.some(({ kind, start }) => kind === 'promotion' && start.image.digest === digest);
  if (isPending || memory.members[rollout] !== undefined) {
    throw new DecisionRefused(`${rollout} is under way: wait until it has ended, or abort it, and promote then`);
  }
  return { plan, image: { repository, tag, digest } };
}

type Promotable = Pick<RolloutStart, 'plan' | 'image'>;

/** Only a proven name is who brought the image here; the other one is only told. */
function promotionOf({ plan, image }: Promotable, stage: string, author: Attribution, proven: Person | undefined): RolloutStart {
  const { by, reason, at } = author;
  const who = proven === undefined ? { trigger: { by } } : operatorPush(proven.operator ?? nameOfPerson(proven));
  const asked = { source: 'operator', deliveryId: `promotion to ${stage} at ${at}`, receivedAt: at, ...who };
  return {
    plan,
    image,
    push: { ...image, ...asked },
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
