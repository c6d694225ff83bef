import type { ImagePush } from './image-push.ts';
import { pathOf } from './image-reference.ts';
import type { DispatchPayload } from './plan.ts';

/** What a `repository_dispatch` tells of. */
export interface DispatchSubject {
  readonly service: string;
  /** At least one: with a tag each, of one image. */
  readonly pushes: readonly [ImagePush, ...ImagePush[]];
  /** What the image itself says, if it was looked at: its digest, and its labels `revision` and `source`. */
  readonly image?: { readonly digest: string; readonly revision?: string; readonly source?: string };
  /** All tags are told at once; otherwise only the one of the rollout. */
  readonly per: 'tag' | 'push';
  /** Workflow id of what sends it. */
  readonly rollout: string;
  readonly now: Date;
}

/** `payload`: GitHub takes at most ten members. `problem`: what was expected of the push and is not there. */
type PayloadResult = { readonly payload: Readonly<Record<string, string | readonly string[]>> } | { readonly problem: string };

/** Workflows compare it with the beginning of `github.sha`. */
const shortCommit = 7;

const shapes: Readonly<Record<DispatchPayload, (subject: DispatchSubject) => PayloadResult>> = {
  landfall({ service, pushes, image, per, rollout, now }) {
    const [push] = pushes;
    const commit = push.commit ?? image?.revision ?? '';
    const payload = {
      service,
      image: push.repository,
      tag: push.tag,
      digest: image?.digest ?? push.digest ?? '',
      sha: commit,
      commit,
      repository: push.sourceRepository ?? image?.source ?? '',
      rollout_id: rollout,
      timestamp: now.toISOString(),
    };
    return { payload: per === 'push' ? { ...payload, tags: pushes.map(({ tag }) => tag) } : payload };
  },
  /** What lewagon/quay-github-actions-dispatch sends for a build of Quay's. */
  quay({ pushes, image }) {
    const [push] = pushes;
    const commit = (push.commit ?? image?.revision ?? '').trim();
    if (commit.length >= shortCommit) return { payload: { text: commit.slice(0, shortCommit) } };
    const found = commit === '' ? 'none' : `'${commit}'`;
    return {
      problem: `expected the commit of the build, because the payload quay is its first ${shortCommit} characters, found ${found} in the push by way of ${push.source}: build by a trigger that names its commit, or choose another payload`,
    };
  },
  /** As the action `dispatch_on_image_push_success`: `repository` is the image's name, `tags` a JSON text that `fromJSON` reads. */
  'image-push'({ pushes, image, now }) {
    const [push] = pushes;
    return {
      payload: {
        repository: pathOf(push.repository),
        tags: JSON.stringify(pushes.map(({ tag }) => tag)),
        digest: image?.digest ?? push.digest ?? '',
        commit: push.commit ?? image?.revision ?? '',
        run_id: push.buildId ?? '',
        timestamp: now.toISOString().replace(/\.\d{3}Z$/, 'Z'),
        source_repository: push.sourceRepository ?? image?.source ?? '',
      },
    };
  },
};

/** What the event carries. What is not known is empty, so that a workflow can name every member. */
export function payloadOf(shape: DispatchPayload | undefined, subject: DispatchSubject): PayloadResult {
  return shapes[shape ?? 'landfall'](subject);
}

/**
 * What was pushed together, as one event each: the tags of one image, or of one build where the shape names nothing else. A request
 * may hold several images, of which one event would name only the first.
 */
export function eventsOf(
  shape: DispatchPayload | undefined,
  pushes: readonly ImagePush[],
): (readonly [ImagePush, ...ImagePush[]])[] {
  const groups = Map.groupBy(pushes, ({ commit, digest }) => JSON.stringify([commit, shape === 'quay' ? undefined : digest]));
  return [...groups.values()].flatMap((group) => {
    const [first, ...others] = group.filter(({ tag }, index) => group.findIndex((push) => push.tag === tag) === index);
    return first === undefined ? [] : [[first, ...others] as const];
  });
}
