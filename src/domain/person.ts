import { shortened } from './inert-text.ts';

/** Who said something. */
export interface Person {
  readonly by: string;
  /** Proven by a token, not just typed. */
  readonly verified: boolean;
}

const longestName = 100;
const longestReason = 500;
/** Control, format, surrogate, private-use, line and paragraph separator characters: nobody's name. */
const invisible = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]+/gu;

/** A name as somebody typed it, in one bounded line. Anybody with Temporal access can send any JSON: what is no text counts as nothing. */
export function typedName(typed: string | undefined): string {
  const name = oneLine(typed, longestName);
  return name === '' ? 'somebody with Temporal access' : name;
}

/** Anybody with Temporal access can type any name, so a name alone is unverified. */
export function nameOfPerson({ by, verified }: Person): string {
  return verified ? by : `${by} (unverified)`;
}

/** A reason as somebody typed it, in one line: bounded, because it is kept in histories, memos and lanes. Empty if there is none. */
export function typedReason(typed: string | undefined): string {
  return oneLine(typed, longestReason);
}

function oneLine(typed: unknown, longest: number): string {
  const text = typeof typed === 'string' ? typed : '';
  return shortened(text.replace(invisible, ' ').replace(/\s+/g, ' ').trim(), longest);
}
