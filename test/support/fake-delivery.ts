import { ApplicationFailure } from '@temporalio/common';
import type { Activities } from '../../src/contracts/activities/index.ts';
import type { Digest } from '../../src/domain/image-reference.ts';
import type { Proposal, Review, RunningImage } from '../../src/domain/outcomes.ts';
import type { Plan, StagePlan } from '../../src/domain/plan.ts';

/** What a stage of a workflow test runs, and what was done to it. */
export interface FakeStage {
  containers: Map<string, Digest>;
  /** In order: `merge`, `deploy web-1`, `restore`, `settle`, `revert` with the first twelve hex digits of the digest. */
  readonly log: string[];
  /** How many changes were going on at once, at most. */
  mostAtOnce: number;
}

type DeliveryActivities = Pick<
  Activities,
  | 'proposalState'
  | 'mergeChange'
  | 'tidyChange'
  | 'baseHolds'
  | 'revertChange'
  | 'snapshotStage'
  | 'deployStage'
  | 'rollBackStage'
  | 'discardPrevious'
  | 'watchStage'
>;

export interface FakeDelivery {
  readonly activities: DeliveryActivities;
  stage(plan: Plan, stage: string): FakeStage;
  /** Digests that turn out unhealthy wherever they run. */
  readonly bad: Set<Digest>;
  /** By branch: what people did to the proposal. */
  readonly closed: Map<string, string>;
  readonly mergedByHand: Map<string, string>;
  readonly reviews: Map<string, Review[]>;
  readonly failing: Map<string, string[]>;
  /** Everything is as if nothing had been deployed, merged or said yet. */
  forget(): void;
}

/** Typed stand-ins for merge, deploy, watch and rollback, with a memory: what was deployed runs, what was merged is merged. */
export function fakeDelivery(): FakeDelivery {
  const stages = new Map<string, FakeStage>();
  const merged = new Map<string, string>();
  const atWork = new Map<string, number>();
  const of = (plan: Plan, name: string): FakeStage => {
    const key = `${plan.service}/${name}`;
    const known = stages.get(key) ?? { containers: new Map(), log: [], mostAtOnce: 0 };
    stages.set(key, known);
    return known;
  };
  const running = ({ containers }: FakeStage): RunningImage[] =>
    [...containers].map(([name, digest]) => ({ name, reference: `registry.example.test/team/web@${digest}`, digest }));
  const during = async <Result>(plan: Plan, stage: StagePlan, act: (fake: FakeStage) => Result): Promise<Result> => {
    const fake = of(plan, stage.name);
    const key = `${plan.service}/${stage.name}`;
    atWork.set(key, (atWork.get(key) ?? 0) + 1);
    fake.mostAtOnce = Math.max(fake.mostAtOnce, atWork.get(key) ?? 0);
    await new Promise((resolve) => setImmediate(resolve));
    try {
      return act(fake);
    } finally {
      atWork.set(key, (atWork.get(key) ?? 1) - 1);
    }
  };
  const fakes: Omit<FakeDelivery, 'activities' | 'stage' | 'forget'> = {
    bad: new Set(),
    closed: new Map(),
    mergedByHand: new Map(),
    reviews: new Map(),
    failing: new Map(),
  };
  const activities: DeliveryActivities = {
    async proposalState({ proposal }) {
      const commit = merged.get(keyOf(proposal));
      if (commit !== undefined) return { kind: 'merged', commit };
      const by = fakes.mergedByHand.get(proposal.branch);
      if (by !== undefined) return { kind: 'merged', commit: 'f'.repeat(40), by };
      const closedBy = fakes.closed.get(proposal.branch);
      if (closedBy !== undefined) return { kind: 'closed', by: closedBy };
      return {
        kind: 'open',
        head: proposal.head,
        pending: [],
        failing: fakes.failing.get(proposal.branch) ?? [],
        reviews: fakes.reviews.get(proposal.branch) ?? [],
        mergeable: 'ready',
        queued: 'no',
      };
    },
    async mergeChange({ plan, stage, image, proposal }) {
      return await during(plan, stage, (fake) => {
        merged.set(keyOf(proposal), `merge-of-${proposal.head}`.slice(0, 40));
        fake.log.push(proposal.branch.endsWith('-rollback') ? 'merge of the revert' : `merge ${short(image.digest)}`);
        return { kind: 'merged', commit: 'c'.repeat(40) } as const;
      });
    },
    tidyChange: async () => ({ kind: 'tidied' }),
    baseHolds: async () => ({ kind: 'looked', holds: true, commit: 'f'.repeat(40) }),
    async revertChange({ plan, stage, image }) {
      of(plan, stage.name).log.push(`revert ${short(image.digest)}`);
      return { kind: 'proposed', proposal: revertOf(plan, stage, image.digest) };
    },
    async snapshotStage({ plan, stage }) {
      const now = running(of(plan, stage.name));
      if (stage.watch === undefined) return { kind: 'snapshot', running: now };
      const reading = { at: new Date().toISOString(), healthy: !now.some(isBad(fakes.bad)), text: 'fake reading', tookMs: 1 };
      return { kind: 'snapshot', running: now, ...(now.length > 0 && { reading }) };
    },
    async deployStage({ plan, stage, image, only }) {
      return await during(plan, stage, (fake) => {
        if (fake.containers.size === 0) fake.containers.set('web', image.digest);
        for (const name of fake.containers.keys()) {
          if (only !== undefined && !only.includes(name)) continue;
          fake.containers.set(name, image.digest);
          fake.log.push(`deploy ${name} ${short(image.digest)}`);
        }
        return { kind: 'deployed', changed: true, running: running(fake), text: 'deployed' } as const;
      });
    },
    async rollBackStage({ plan, stage, before }) {
      return await during(plan, stage, (fake) => {
        for (const { name, digest } of before) if (digest !== undefined) fake.containers.set(name, digest);
        fake.log.push('restore');
        return { kind: 'deployed', changed: true, running: running(fake), text: 'restored' } as const;
      });
    },
    discardPrevious: async () => {},
    async watchStage({ expected, running: watched }) {
      if (watched.some(isBad(fakes.bad))) {
        const details = [{ readings: 1, failed: 1, slowestMs: 1, failures: [], log: 'lost my database' }];
        throw ApplicationFailure.create({ type: 'Unhealthy', message: 'http answered 503', nonRetryable: true, details });
      }
      const last = { at: new Date().toISOString(), healthy: true, text: 'well', tookMs: 1 };
      const proof = expected === undefined ? 'none' : 'container';
      return { kind: 'watched', readings: 3, failed: 0, slowestMs: 1, healthyAfterMs: 1, proof, last };
    },
  };
  const forget = (): void => {
    for (const memory of [stages, merged, atWork, ...Object.values(fakes)]) memory.clear();
  };
  return { ...fakes, activities, stage: of, forget };
}

function keyOf({ branch, head }: Proposal): string {
  return `${branch}@${head}`;
}

function isBad(bad: ReadonlySet<Digest>): (running: RunningImage) => boolean {
  return ({ digest }) => digest !== undefined && bad.has(digest);
}

function revertOf({ service }: Plan, { name }: StagePlan, digest: Digest): Proposal {
  const branch = `landfall/${service}-${name}-rollback`;
  return {
    kind: 'pull-request',
    url: `https://forge.example.test/${branch}`,
    number: 99,
    branch,
    base: 'main',
    head: `b${digest.slice(8, 47)}`,
  };
}

function short(digest: Digest): string {
  return digest.slice(7, 19);
}
