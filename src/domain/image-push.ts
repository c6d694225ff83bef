import type { Digest, Repository, Tag } from './image-reference.ts';

/** What of a push is proven, and how. Nothing else of it counts as evidence of who pushed, or of what it was built from. */
export interface ProvenOrigin {
  /** `token`: by the OIDC token of the job; `forge`: the forge itself signs that it was so; `operator`: by an operator's token; `build`:
   * Landfall has built it itself. */
  readonly by: 'token' | 'forge' | 'operator' | 'build';
  readonly fields: readonly ('commit' | 'sourceRepository' | 'actor')[];
  /** Whose names the actor is one of: accounts at GitHub, or operators of the configuration. Absent: nobody's that are known here. */
  readonly actorOf?: 'github' | 'operators';
  /** The account's id at GitHub, which stays when its name does not. */
  readonly actorId?: number;
}

/** Of a push, or what stands for one, that an operator asked for with a token. */
export function operatorPush(name: string): Pick<ImagePush, 'actor' | 'proven'> {
  return { actor: name, proven: { by: 'operator', fields: ['actor'], actorOf: 'operators' } };
}

/**
 * A push as the reason of a rollout of what was found in the registry. Who pushed is proven of what they pushed alone: not of another digest,
 * nor of what a tag has become since.
 * @param isLater the tag is known to have moved since
 */
export function pushFor(
  push: ImagePush,
  { tag, digest }: { readonly tag: Tag; readonly digest: Digest },
  isLater: boolean,
): ImagePush {
  const isThis = push.digest === undefined ? push.tag === tag && !isLater : push.digest === digest;
  if (isThis) return push;
  const { proven: _, trigger, ...claimed } = push;
  return { ...claimed, ...(trigger && { trigger: { by: trigger.by } }) };
}

/** Whom people are told of as who pushed: the actor of the source, or whoever triggered it. */
export function pusherOf({ actor, trigger }: Pick<ImagePush, 'actor' | 'trigger'>): string | undefined {
  return actor ?? trigger?.by;
}

type OriginField = ProvenOrigin['fields'][number];

/** What people read after the field of a push: whether it is only claimed. */
export function claimedMark(field: OriginField, { proven }: Pick<ImagePush, 'proven'>): string {
  return proven?.fields.includes(field) ? '' : ' (claimed)';
}

/** Somebody pushed an image. JSON-safe: it travels in workflow inputs and in memos. What is optional is there if the source says it. */
export interface ImagePush {
  /** The source's name, `operator` for a trigger by hand, `search` for what was found in a registry. */
  readonly source: string;
  /** The sender's own id of the delivery; one is made up if the sender has none. */
  readonly deliveryId: string;
  readonly repository: Repository;
  readonly tag: Tag;
  /** Absent also if it is not `sha256:` and 64 hex digits. */
  readonly digest?: Digest;
  /** The commit that the image was built from. */
  readonly commit?: string;
  /** `owner/name` or URL. */
  readonly sourceRepository?: string;
  /** The run of CI, or the build, that made it. */
  readonly buildId?: string;
  /** Of a trigger by hand: who typed it, and what shows that it was they. Only where that is checked do they count as the actor. */
  readonly trigger?: { readonly by: string; readonly proof?: string; readonly login?: 'oidc' };
  /** Who pushed, as the source names them. */
  readonly actor?: string;
  /** What of the above is more than the word of whoever knows a secret. Absent: all of it is only claimed. */
  readonly proven?: ProvenOrigin;
  /** Tells two deliveries apart by what was signed, where the source signs its bodies and not the ids of its deliveries. */
  readonly signedId?: string;
  /** ISO 8601, UTC. */
  readonly receivedAt: string;
}
