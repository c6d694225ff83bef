/**
 * What a sealed value looks like inside of a process. In Temporal its terms and its seal are metadata of a payload, and the data is the value
 * alone, so that histories stay readable: the codec of seal.ts turns one into the other, and is the only one that has the key.
 */

/** What a value is sealed for. What was sealed for one thing is not taken for another. */
export interface SealTerms {
  /** `start rollout`, `signal grant`, `update approve ID`, `activity deployStage on QUEUE`, `answer deployStage`. */
  readonly for: string;
  /** When, in milliseconds since 1970. Absent: whenever it comes, as what a schedule starts. */
  readonly at?: number;
  /** Of an activity: the run that asks for it. */
  readonly run?: string;
  /** Of an activity, and of its answer: the first run of that run's chain, which stays the same when it is reset. */
  readonly chain?: string;
}

/** The keys have to stay in this order, and these two alone: `seal.ts` finds them in the JSON text. */
export interface SealedValue {
  readonly landfall: SealTerms;
  readonly value?: unknown;
}

/** What stands in the place of a payload that cannot be believed. */
export interface UnsealedValue {
  readonly landfall: {
    /** Why, as a part of a sentence: `it has no seal`. */
    readonly unsealed: string;
    /** It may well be ours: it has a seal, but of a key that is not known here. */
    readonly otherKey?: boolean;
    /** What was made before that time, in milliseconds since 1970, is believed. */
    readonly since?: number;
  };
  /** What it was: only there with `since`. */
  readonly value?: unknown;
}

/** Makes a value that the codec seals for nothing but these terms. */
export function sealedFor(terms: SealTerms, value: unknown): SealedValue {
  return { landfall: terms, value };
}

/**
 * Messages of Landfall have one argument; nothing is an argument, too, and is sealed as well.
 * @throws TypeError for more: nothing would keep them together
 */
export function sealedArguments(terms: SealTerms, args: readonly unknown[]): SealedValue[] {
  if (args.length > 1) throw new TypeError(`${terms.for}: expected one argument, which can be sealed, found ${args.length}`);
  return [sealedFor(terms, args[0])];
}

export function isSealed(value: unknown): value is SealedValue {
  return hasMark(value) && 'for' in value.landfall;
}

export function isUnsealed(value: unknown): value is UnsealedValue {
  return hasMark(value) && 'unsealed' in value.landfall;
}

function hasMark(value: unknown): value is { readonly landfall: object } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'landfall' in value &&
    typeof value.landfall === 'object' &&
    value.landfall !== null
  );
}

/** By so much Temporal's clock and those of Landfall's machines may differ, in milliseconds. */
export const clockToleranceMs = 5 * 60_000;

/** What came out of looking at a value: what it holds, or why it is not believed. */
export type SealCheck =
  | { readonly value: unknown; readonly terms?: SealTerms }
  | { readonly refused: string; readonly otherKey?: boolean };

/**
 * The one argument of a message, if it was sealed for what it is used for.
 * @param wanted as in `SealTerms.for`
 * @param nowMs when the message came, by Temporal's clock: it decides whether it is from before the time of seals
 */
export function openArguments(args: readonly unknown[], wanted: string, nowMs: number): SealCheck {
  const [value] = args;
  if (args.length !== 1) return { refused: `expected one sealed argument, found ${args.length}` };
  return openSealed(value, wanted, nowMs);
}

/** See `openArguments`. */
export function openSealed(value: unknown, wanted: string, nowMs: number): SealCheck {
  if (isSealed(value)) {
    const { landfall: terms } = value;
    return terms.for === wanted ? { value: value.value, terms } : { refused: `it was sealed for another use: ${terms.for}` };
  }
  if (!isUnsealed(value)) return { refused: 'it was not sealed for any use' };
  const { unsealed, otherKey, since = 0 } = value.landfall;
  if (nowMs < since) return { value: value.value };
  return { refused: unsealed, ...(otherKey !== undefined && { otherKey }) };
}
