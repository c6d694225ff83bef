import { Refusal } from '../failures.ts';
import type { ImageIdentity } from '../outcomes.ts';

/** Whose images a change is about. */
export type InRepository = Pick<ImageIdentity, 'repository'>;

/** The position of a value in the text of a file. */
export interface ValueLocation {
  /** As a person would say it: `services.web.image`. */
  readonly name: string;
  /** Offsets of the value, with its quotes if it has some. */
  readonly start: number;
  readonly end: number;
  /** Without quotes. */
  readonly value: string;
  /** The text of another value, in the style of this one. Values hold letters, digits and `_.:/@-[]` only. */
  readonly write: (value: string) => string;
  /** What it holds, where the file tells; absent: what `value` of the change says. */
  readonly holds?: Holds;
  /**
   * For a value that may be missing: what is taken away with it, its key and the line break before it. Where it is missing, `start` and `end`
   * are where `write` puts all of that.
   */
  readonly whole?: Pick<ValueLocation, 'start' | 'end'>;
}

/**
 * `reference`: a whole reference, of the service's repository. `bare`: a tag or a digest, or both. `hash`: the hex digits of a digest.
 * `name`: which image an entry is about.
 */
export type Holds = 'reference' | 'bare' | 'tag' | 'digest' | 'hash' | 'name';

export function quotedLike(quote: string): (value: string) => string {
  return (value) => `${quote}${value}${quote}`;
}

/** @param file its path in the deployment repository */
export function targetNotFound(file: string, lookedFor: string, instead: string): Refusal {
  return new Refusal('TargetNotFound', `${file} has no ${lookedFor}; ${instead}`);
}

export function editRefused(file: string, why: string, options?: ErrorOptions): Refusal {
  return new Refusal('EditRefused', `${file}: ${why}`, [], options);
}

/** `a, b and 3 more`, so that an error stays readable. */
export function listed(names: readonly string[], most = 20): string {
  if (names.length === 0) return 'none';
  const more = names.length > most ? ` and ${names.length - most} more` : '';
  return names.slice(0, most).join(', ') + more;
}
