import type { UpdateDefinition } from '@temporalio/common';
import { setHandler } from '@temporalio/workflow';
import {
  holdUpdate,
  type LaneDecision,
  pinUpdate,
  promoteUpdate,
  quarantineUpdate,
  type ReleaseAt,
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
import { Refused } from '../../domain/lane/refused.ts';
import { countRollback, mayPromote, mayRollBack, rollbackTerms } from '../../domain/lane/rollback.ts';
import type { LaneState, Word } from '../../domain/lane/state.ts';
import { release } from '../../domain/lane/turns.ts';
import { nameOfPerson, typedName, typedReason } from '../../domain/person.ts';
import { recordDecision } from '../audit.ts';
import { refusing } from '../refusing.ts';
import type { LanePost } from './outbox.ts';

/** More than these wait for Temporal only where it takes nothing that the lane starts. */
const mostErrands = 5;

interface Lane {
  readonly service: string;
  readonly memory: LaneState;
  readonly post: LanePost;
}

/** What a lane answers to operators. They may type anything, or nothing. */
export function answerOperators(lane: Lane): void {
  const { memory, post } = lane;
  const record = recordsOf(lane);
  handle(
    holdUpdate,
    (said) => mayHold(memory, said?.stage),
    (said) => {
      const word = wordOf(said);
      hold(memory, said?.stage, word);
      record('hold', word, { stage: said?.stage });
      return memory;
    },
  );
  handle(
    releaseUpdate,
    (said) => (isReturn(said) ? undefined : mayRelease(memory, said?.stage)),
    (said) => {
      if (isReturn(said)) {
        post.grantAll(release(memory, said));
        return memory;
      }
      const word = wordOf(said);
      post.nudge(releaseHold(memory, said?.stage), `${said?.stage ?? 'everything'} was released by ${word.by}`);
      record('release', word, { stage: said?.stage });
      return memory;
    },
  );
  handle(
    pinUpdate,
    (said) => mayPin(memory, required(said, 'stage'), required(said, 'digest')),
    (said, digest) => {
      const word = wordOf(said);
      post.nudge(pin(memory, said.stage, digest, word), `${said.stage} was pinned to ${digest} by ${word.by}`);
      record('pin', word, { stage: said.stage, digest });
      return memory;
    },
  );
  answerQuarantine(lane);
  handle(
    rollbackUpdate,
    (said) => {
      requireRoom(post);
      const stage = required(said, 'stage');
      const pending = post.errands.find(({ kind, start }) => kind === 'rollback' && start.stage === stage);
      if (pending?.kind === 'rollback') throw new Refused(`${stage} is being rolled back already, by ${pending.start.workflow}`);
      return mayRollBack(memory, stage);
    },
    (said, running) => {
      const { service } = lane;
      const { stage } = said;
      const workflow = rollbackId(service, stage, countRollback(memory, stage));
      const word = wordOf(said);
      post.errands.push({ kind: 'rollback', start: { service, stage, running, ...word, workflow } });
      record('rollback', word, { stage, started: workflow });
      return { workflow, ...rollbackTerms(memory, stage, running) };
    },
  );
  handle(
    promoteUpdate,
    (said) => promotionOf(lane, required(said, 'stage'), required(said, 'digest'), said),
    (said, start) => {
      post.errands.push({ kind: 'promotion', start });
      const workflow = rolloutId(start.plan.service, start.image);
      record('promote', wordOf(said), { stage: said.stage, digest: start.image.digest, started: workflow });
      return { workflow };
    },
  );
}

function answerQuarantine(lane: Lane): void {
  const { memory, post } = lane;
  const record = recordsOf(lane);
  handle(
    quarantineUpdate,
    (said) => mayQuarantine(memory, required(said, 'digest')),
    (said, digest) => {
      const word = wordOf(said);
      post.nudge(putInQuarantine(memory, digest, word), `${digest} was put in quarantine by ${word.by}`);
      record('quarantine', word, { digest });
      return memory;
    },
  );
  handle(
    unquarantineUpdate,
    (said) => mayUnquarantine(memory, required(said, 'digest')),
    (said, digest) => {
      const word = wordOf(said);
      post.nudge(freeFromQuarantine(memory, digest), `${digest} was taken out of quarantine by ${word.by}`);
      record('unquarantine', word, { digest });
      return memory;
    },
  );
}

interface Where {
  readonly stage?: string | undefined;
  readonly digest?: string;
  readonly started?: string;
}

/** Of one lane. It learns its repository from the rollouts that enter, and may not know one yet. */
function recordsOf({ service, memory }: Lane): (action: string, word: Word, where: Where) => void {
  return (action, word, { stage, ...where }) => {
    const repository = Object.values(memory.stages).find(({ running }) => running !== undefined)?.running?.image.repository;
    recordDecision(action, word, { service, repository: repository ?? null, ...where, ...(stage !== undefined && { stage }) });
  };
}

/** @throws Refused */
function promotionOf({ memory, post }: Lane, stage: string, typed: string, said: LaneDecision): RolloutStart {
  requireRoom(post);
  const { image, plan } = mayPromote(memory, stage, typed);
  const { repository, tag, digest } = image;
  const rollout = rolloutId(plan.service, image);
  const isPending = post.errands.some(({ kind, start }) => kind === 'promotion' && start.image.digest === digest);
  if (isPending || memory.members[rollout] !== undefined) {
    throw new Refused(`${rollout} is under way: wait until it has ended, or abort it, and promote then`);
  }
  const { by, reason, at } = wordOf(said);
  const deliveryId = `promotion to ${stage} at ${at}`;
  const push = { repository, tag, digest, source: 'operator', deliveryId, actor: typedName(said.by), receivedAt: at };
  return {
    plan,
    image: { repository, tag, digest },
    push,
    asked: true,
    promotion: { by, ...(reason !== undefined && { reason }) },
  };
}

/** The rule says whether a decision applies, before it is taken and when it is done; what the rule found is what it is done with. */
function handle<Args extends [unknown], Found, Answer>(
  update: UpdateDefinition<Answer, Args>,
  rule: (said: Args[0]) => Found,
  act: (said: Args[0], found: Found) => Answer,
): void {
  setHandler(
    update,
    refusing((...[said]: Args) => act(said, rule(said))),
    { validator: refusing((...[said]: Args) => void rule(said)) },
  );
}

function isReturn(said: LaneDecision | ReleaseAt | undefined): said is ReleaseAt {
  return said !== undefined && 'runId' in said;
}

function requireRoom({ errands }: LanePost): void {
  if (errands.length >= mostErrands)
    throw new Refused(`${errands.length} workflows wait for being started: try again in a minute`);
}

function required<Key extends 'stage' | 'digest'>(said: { readonly [key in Key]?: string } | undefined, key: Key): string {
  const typed: unknown = said?.[key];
  if (typeof typed === 'string' && typed.trim() !== '') return typed;
  throw new Refused(`which ${key}? Expected {"${key}": "..."}`);
}

function wordOf(said: LaneDecision | undefined): Word {
  const by = nameOfPerson({ by: typedName(said?.by), verified: false });
  const reason = typedReason(said?.reason);
  return { by, ...(reason !== '' && { reason }), at: new Date().toISOString() };
}
