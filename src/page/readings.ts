import type { Client } from '@temporalio/client';
import type { LaneState } from '../domain/lane/state.ts';
import type { StepState } from '../domain/rollout-state.ts';
import { OperationError } from '../operations/errors.ts';
import { type Figures, readFigures } from '../operations/figures.ts';
import type { FiguresInput } from '../operations/inputs.ts';
import { readLane } from '../operations/lane.ts';
import { type ConfiguredService, type Overview, readOverview } from '../operations/overview.ts';
import { listRolloutPage, type RolloutPage, type RolloutPageFilter, rolloutPageFilter } from '../operations/rollout-page.ts';
import { type RolloutStory, readStory } from '../operations/rollout-story.ts';
import { type RolloutRow, readRollout } from '../operations/rollouts.ts';
import type { PageDependencies } from './dependencies.ts';
import { createSharedRead } from './shared-read.ts';

/** What pages and streams read, at most once at a time and once in a moment, however many look. */

export interface SharedReading {
  readonly overview: Overview;
  /** What ended last. */
  readonly recent: readonly RolloutRow[];
  /** Of what runs, by run: its steps. */
  readonly steps: ReadonlyMap<string, readonly StepState[]>;
}

export type PageReadings = ReturnType<typeof createReadings>;

const freshForMs = 700;
const figuresFreshForMs = 15_000;
const explanationFreshForMs = 10_000;
const mostRecent = 8;
const mostAsked = 12;

export function createReadings(
  client: Client,
  configured: () => readonly ConfiguredService[],
  explainTag: PageDependencies['explainTag'] = async () => undefined,
) {
  const readAll = createSharedRead(async (): Promise<SharedReading> => {
    const filter = rolloutPageFilter.parse({ limit: 50 });
    const [overview, { rows }] = await Promise.all([readOverview(client, configured()), listRolloutPage(client, filter)]);
    const open = new Set(overview.underWay.map(({ runId }) => runId));
    const isOver = ({ runId, status }: RolloutRow) => !open.has(runId) && !['running', 'waiting', 'blocked'].includes(status);
    const steps = await stepsOf(client, overview.underWay);
    return { overview, recent: rows.filter(isOver).slice(0, mostRecent), steps };
  }, freshForMs);
  const rollout = createSharedRead((id) => readStory(client, id), freshForMs);
  // Thousands of rollouts: it need not be of this second.
  const figures = createSharedRead((input) => readFigures(client, JSON.parse(input)), figuresFreshForMs);
  // The same filters, as a hundred pages of them ask at the same moment when something has changed.
  const list = createSharedRead((filter) => listRolloutPage(client, JSON.parse(filter)), freshForMs);
  // Not a moment later: buttons are pressed elsewhere too, and a lane is asked by few.
  const lane = createSharedRead((service) => readLane(client, service), 0);
  // A registry is asked, and an open page asks again whenever something has changed.
  const explanation = createSharedRead((key) => explainTag(...(JSON.parse(key) as [string, string])), explanationFreshForMs);
  const all = () => readAll('all');
  return {
    all,
    rollout: (id: string): Promise<RolloutStory> => rollout(id),
    rollouts: (filter: RolloutPageFilter): Promise<RolloutPage> => list(JSON.stringify(filter)),
    explanation: (service: string, tag: string) => explanation(JSON.stringify([service, tag])),
    lane: (service: string): Promise<LaneState | undefined> => lane(service),
    figures: (input: FiguresInput): Promise<Figures> => figures(JSON.stringify(input)),
    /** Whoever pressed a button sees what came of it: what was read before is not shown again. */
    forget: (): void => {
      for (const each of [readAll, rollout, list, lane]) each.forget();
    },
    /** For the stream of a topic: what its pages are about, without when it was read. */
    topic: async (topic: string): Promise<unknown> => {
      if (topic !== allTopic) return await rollout(topic);
      return versionedPart(await all());
    },
  };
}

/** Pages that are about everything; the others are about one rollout, whose id the topic is. */
export const allTopic = 'all';

export function versionedPart({ overview: { readAt: _, ...overview }, recent, steps }: SharedReading) {
  return { overview, recent, steps: [...steps] };
}

/** What changes at every step, no column tells. Of many, the newest are asked. */
async function stepsOf(client: Client, underWay: Overview['underWay']): Promise<Map<string, readonly StepState[]>> {
  const running = underWay.filter(({ status }) => status === 'running').slice(0, mostAsked);
  const read = await Promise.all(
    running.map(async ({ rollout, runId }) => {
      const now = await readRollout(client, rollout).catch(orNothing);
      return [runId, now?.state.steps.map(({ details: _, ...step }) => step) ?? []] as const;
    }),
  );
  return new Map(read);
}

function orNothing(error: unknown): undefined {
  if (error instanceof OperationError) return undefined;
  throw error;
}
