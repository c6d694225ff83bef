import type { Digest, Repository, Tag } from './image-reference.ts';

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
  /** Who pushed, as the source names them. */
  readonly actor?: string;
  /** ISO 8601, UTC. */
  readonly receivedAt: string;
}
