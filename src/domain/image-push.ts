import type { Digest, Repository, Tag } from './image-reference.ts';

/**
 * One normalised event: somebody pushed an image. Receivers produce it, everything else consumes it.
 * JSON-safe: it travels in workflow inputs and in memos.
 */
export interface ImagePush {
  /** The receiver that it came through: its source's name, `operator` for a trigger by hand, `search` for what was found without any. */
  readonly source: string;
  /** The sender's own id of the delivery, for the audit log; one is made up where the sender has none. */
  readonly deliveryId: string;
  readonly repository: Repository;
  readonly tag: Tag;
  /** Absent if the source names none, or names one that is not `sha256:` and 64 hex digits. */
  readonly digest?: Digest;
  /** The source commit that the image was built from, where the source says. */
  readonly commit?: string;
  /** The source repository as `owner/name` or URL, where the source says. */
  readonly sourceRepository?: string;
  /** The run of CI, or the build, that made it, where the source says. */
  readonly buildId?: string;
  /** Who pushed, as the source names them. */
  readonly actor?: string;
  /** ISO 8601, UTC. */
  readonly receivedAt: string;
}
