import { defaultPayloadConverter } from '@temporalio/client';
import type { BuildState } from '../../../src/contracts/messages.ts';
import { buildId } from '../../../src/contracts/start-options.ts';
import type { Sight } from '../production.ts';
import type { SourcePush } from './source.ts';
import type { BuildPlaces } from './world.ts';

/** One delivery, from what each part of the world says of itself: nothing is taken from what was meant to be. */
export interface BuildRecord {
  readonly commit: string;
  readonly build: string;
  /** Delivery ids of the webhook, which the build and the rollout keep. */
  readonly deliveries: readonly string[];
  /** What the rollout says it was started with. */
  readonly startedWith?: { readonly source: string; readonly buildId?: string; readonly commit?: string };
  readonly rollout?: string;
  /** Of the index, as the registry has it for the tag of the commit. */
  readonly digest?: string;
  /** Tags of the image. */
  readonly tags: readonly string[];
  /** Newest commit of the deployment repository, and the line with the image. */
  readonly change: { readonly commit: string; readonly line: string };
  /** What runs in production. */
  readonly sight: Sight;
}

export async function readRecord(places: BuildPlaces, { commit }: SourcePush, { outputs }: BuildState): Promise<BuildRecord> {
  const { registry, deployment, production, client } = places;
  const build = buildId('web', commit);
  const [rollout] = outputs.rollouts ?? [];
  const ids = rollout === undefined ? [build] : [build, rollout];
  const described = await Promise.all(ids.map((id) => client.workflow.getHandle(id).describe()));
  const deliveries = described.map(({ memo }) => String(memo?.deliveryId));
  const listed = await fetch(`http://${registry}/v2/demo/web/tags/list`);
  const { tags } = (await listed.json()) as { readonly tags: readonly string[] | null };
  const found = await fetch(`http://${registry}/v2/demo/web/manifests/${commit.slice(0, 12)}`, {
    method: 'HEAD',
    headers: { accept: 'application/vnd.oci.image.index.v1+json' },
  });
  const digest = found.headers.get('docker-content-digest');
  const file = await deployment.read('main', 'docker-compose.yml');
  return {
    ...{ commit, build, deliveries, tags: tags ?? [] },
    ...(rollout !== undefined && { rollout, startedWith: await startOf(places, rollout) }),
    ...(found.ok && digest !== null && { digest }),
    change: {
      commit: (await deployment.git('rev-parse', 'main')).trim(),
      line:
        file
          .split('\n')
          .find((line) => line.includes('image:'))
          ?.trim() ?? '',
    },
    sight: await production.look(),
  };
}

/** The push that a rollout was started with. */
async function startOf({ client }: BuildPlaces, rollout: string): Promise<NonNullable<BuildRecord['startedWith']>> {
  const { events = [] } = await client.workflow.getHandle(rollout).fetchHistory();
  const [payload] = events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
  if (payload === undefined)
    throw new Error(`expected the history of ${rollout} to begin with what it was started with, found nothing`);
  const { push } = defaultPayloadConverter.fromPayload<{ readonly push: NonNullable<BuildRecord['startedWith']> }>(payload);
  return push;
}
