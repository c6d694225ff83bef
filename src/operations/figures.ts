import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { searchAttributes } from '../contracts/start-options.ts';
import { quoted } from '../contracts/visibility.ts';
import type { FiguresInput } from './inputs.ts';
import { rowOf } from './rollouts.ts';
import { answeredEach, answerWithinMs } from './temporal-calls.ts';

/** How well it went, of the rollouts that ended within the time. */
export interface Figures {
  readonly readAt: string;
  readonly days: number;
  /** How many ended. */
  readonly rollouts: number;
  /** There were more than were looked at: the newest count. */
  readonly isCut: boolean;
  readonly ends: Readonly<Record<string, number>>;
  /** From the push to the proposal, and until it was healthy; absent: none came so far. */
  readonly toProposed?: Percentiles;
  readonly toHealthy?: Percentiles;
  /** Of `delivered`, `proposed` and `unchanged` and what is against them: `failed`, `rolled-back`, `expired`; absent: neither. */
  readonly successShare?: number;
  /** Which people had to decide about, commit to or merge. */
  readonly personShare?: number;
  readonly proposalsPerWeek: number;
  /** The oldest day first: how many ended well, badly, and otherwise. */
  readonly byDay: readonly DayFigures[];
}

export interface Percentiles {
  readonly count: number;
  readonly p50Seconds: number;
  readonly p95Seconds: number;
}

export interface DayFigures {
  /** `2026-01-31` */
  readonly day: string;
  readonly well: number;
  readonly badly: number;
  readonly otherwise: number;
}

const well = ['delivered', 'proposed', 'unchanged'];
const badly = ['failed', 'rolled-back', 'expired'];
const mostRead = 20_000;
const dayMs = 86_400_000;

interface EndedRollout {
  readonly status: string;
  readonly endedAt: number;
  readonly proposedSeconds: number | undefined;
  readonly healthySeconds: number | undefined;
  readonly neededPerson: boolean;
}

/** From Temporal's columns alone, thousands in a call. @throws Unreachable */
export async function readFigures(client: Client, { days, service }: FiguresInput): Promise<Figures> {
  const now = Date.now();
  const from = new Date(now - days * dayMs).toISOString();
  const ofService = service === undefined ? '' : ` AND ${searchAttributes.service.name} = ${quoted(service)}`;
  const query = `WorkflowType = 'rollout' AND CloseTime >= ${quoted(from)}${ofService}`;
  const ended: EndedRollout[] = [];
  let isCut = false;
  for await (const info of answeredEach(client, answerWithinMs, client.workflow.list({ query, pageSize: 1_000 }))) {
    isCut = ended.length >= mostRead;
    if (isCut) break;
    ended.push(endedRollout(info));
  }
  return { ...figuresOf(ended, { days, now }), isCut };
}

function endedRollout(info: WorkflowExecutionInfo): EndedRollout {
  const { typedSearchAttributes: columns, closeTime } = info;
  return {
    status: rowOf(info).status,
    endedAt: (closeTime ?? new Date()).getTime(),
    proposedSeconds: columns.get(searchAttributes.proposedSeconds),
    healthySeconds: columns.get(searchAttributes.healthySeconds),
    neededPerson: columns.get(searchAttributes.neededPerson) ?? false,
  };
}

export function figuresOf(ended: readonly EndedRollout[], { days, now }: { days: number; now: number }): Omit<Figures, 'isCut'> {
  const good = ended.filter(({ status }) => well.includes(status));
  const bad = ended.filter(({ status }) => badly.includes(status));
  const judged = good.length + bad.length;
  const proposed = numbers(ended.map(({ proposedSeconds }) => proposedSeconds));
  const [toProposed, toHealthy] = [
    percentiles(proposed),
    percentiles(numbers(ended.map(({ healthySeconds }) => healthySeconds))),
  ];
  const needed = [...good, ...bad].filter(({ neededPerson }) => neededPerson).length;
  return {
    readAt: new Date(now).toISOString(),
    days,
    rollouts: ended.length,
    ends: Object.fromEntries([...Map.groupBy(ended, ({ status }) => status)].map(([status, all]) => [status, all.length])),
    ...(toProposed && { toProposed }),
    ...(toHealthy && { toHealthy }),
    ...(judged > 0 && { successShare: good.length / judged, personShare: needed / judged }),
    proposalsPerWeek: (proposed.length / days) * 7,
    byDay: byDay(ended, days, now),
  };
}

function byDay(ended: readonly EndedRollout[], days: number, now: number): DayFigures[] {
  const dayOf = (at: number) => new Date(at).toISOString().slice(0, 10);
  const of = Map.groupBy(ended, ({ endedAt }) => dayOf(endedAt));
  return Array.from({ length: days }, (_, index) => {
    const day = dayOf(now - (days - 1 - index) * dayMs);
    const all = of.get(day) ?? [];
    const [good, bad] = [well, badly].map((ends) => all.filter(({ status }) => ends.includes(status)).length) as [number, number];
    return { day, well: good, badly: bad, otherwise: all.length - good - bad };
  });
}

function numbers(values: readonly (number | undefined)[]): number[] {
  return values.filter((value) => value !== undefined);
}

/** The nearest rank: a time that there really was. */
function percentiles(values: readonly number[]): Percentiles | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((one, other) => one - other);
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return { count: sorted.length, p50Seconds: at(0.5), p95Seconds: at(0.95) };
}
