import type { Client } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { createFollowUps } from '../../src/activities/follow-up.ts';
import { createLaneCalls } from '../../src/activities/lane.ts';
import type { Activities } from '../../src/contracts/activities/index.ts';
import type { Digest } from '../../src/domain/image-reference.ts';
import type { Checked } from '../../src/domain/outcomes.ts';
import type { Plan } from '../../src/domain/plan.ts';
import { branchOf } from '../../src/domain/proposal.ts';
import { fakeBuilds } from './fake-builds.ts';
import { fakeDelivery } from './fake-delivery.ts';
import { verifiedOf } from './plans.ts';

/** What a check answers that lets the image through. */
export function passes(): Checked {
  return { kind: 'checked', text: 'nothing is wrong', evidence: [] };
}

/** What the registry says, as far as a workflow test needs one. */
export type TagTable = Map<string, Digest>;

/**
 * Typed stand-ins for the steps that touch the outside world, for tests of the workflows alone: every check passes, every proposal is
 * made, and the registry is a table. The calls to lanes and to Temporal are the real ones.
 */
export function fakeActivities(client: Client, tags: TagTable, overrides: Partial<Activities> = {}): Activities {
  const current = (plan: Plan, tag: string): Digest | undefined => tags.get(`${plan.repository}:${tag}`);
  return {
    ...createLaneCalls({ client }),
    ...createFollowUps({ client, plansFor: () => [] }),
    ...fakeDelivery().activities,
    ...fakeBuilds(),
    planNow: async () => undefined,
    async verify({ plan, image, byDigest, named }) {
      const digest = current(plan, image.tag);
      if (named && digest !== undefined && digest !== image.digest)
        return { kind: 'verified', image: verifiedOf(image), tagIs: digest };
      return byDigest || digest === undefined || digest === image.digest
        ? { kind: 'verified', image: verifiedOf(image) }
        : { kind: 'moved', digest };
    },
    async confirm({ plan, image }) {
      const digest = current(plan, image.tag);
      return digest === undefined || digest === image.digest ? { kind: 'confirmed' } : { kind: 'moved', digest };
    },
    'check:scan': async () => passes(),
    'check:smoke': async () => passes(),
    'check:integration': async () => passes(),
    // Two that the product does not have.
    'check:signature': async () => passes(),
    'check:provenance': async () => passes(),
    async dispatch({ stage }) {
      return { kind: 'dispatched', repository: stage.dispatch?.repository ?? '', event: stage.dispatch?.event ?? '' };
    },
    async propose({ plan, stage, image }) {
      const branch = branchOf(plan.service, stage.name);
      const proposal = {
        kind: 'pull-request' as const,
        url: `https://forge.example.test/${branch}`,
        number: 1,
        branch,
        base: 'main',
        head: image.digest.slice(7, 47),
        before: ['registry.example.test/team/web:0.9'],
        after: [`${image.repository}:${image.tag}@${image.digest}`],
      };
      return { kind: 'proposed', proposal };
    },
    async whoDecided({ decision }) {
      const by = decision.by ?? '';
      if (decision.proof === undefined) return { by, verified: false };
      if (decision.proof !== `proof of ${by}`) {
        throw ApplicationFailure.create({ type: 'DecisionRefused', message: 'the proof is wrong', nonRetryable: true });
      }
      return { by, verified: true };
    },
    async queueNotice() {},
    async sendNotice() {
      return { kind: 'sent' };
    },
    async resolveTags({ plan }) {
      const followed = plan.tags.kind === 'exact' ? plan.tags.tags : [];
      const images = followed.flatMap((tag) => {
        const digest = current(plan, tag);
        return digest === undefined ? [] : [{ repository: plan.repository, tag, digest }];
      });
      return { kind: 'found', images };
    },
    async passThrough() {
      return { kind: 'dispatched', repository: '', event: '' };
    },
    async redeliverWebhooks() {
      return { kind: 'checked', redelivered: 0, problems: [] };
    },
    async searchRegistry({ known }) {
      return { memory: known, found: [], failed: [] };
    },
    ...overrides,
  };
}
