/**
 * How the lines of the log of decisions hang together: each has its number, the hash of the line before, and its own hash over both and
 * over what it says. So a line that is changed, taken out or put in shows, and with a key nobody can make the hashes anew who has not got it.
 */

/** Makes the hashes: keyed, or plain SHA-256, which shows only what somebody has changed who did not know of it. */
export interface ChainHash {
  readonly name: 'hmac-sha256' | 'sha256';
  /** 64 hex digits. */
  of(text: string): string;
}

/** The last line of a chain. */
export interface ChainEnd {
  readonly number: number;
  readonly hash: string;
}

/** Before the first line. */
export const chainBeginning: ChainEnd = { number: 0, hash: '0'.repeat(64) };

/** @param text of an entry's line, without a line break @returns the same with its place in the chain, which is its new end */
export function chainedText(text: string, end: ChainEnd, hash: ChainHash): { readonly text: string; readonly end: ChainEnd } {
  const number = end.number + 1;
  const said = `${text.slice(0, -1)},"number":${number},"previous":"${end.hash}","hashed":"${hash.name}"`;
  const own = hash.of(said);
  return { text: `${said},"hash":"${own}"}`, end: { number, hash: own } };
}

interface ChainedLine extends ChainEnd {
  readonly previous: string;
  readonly name: ChainHash['name'];
  /** What the hash is of. */
  readonly said: string;
}

const chained =
  /^(\{.*,"number":(\d{1,15}),"previous":"([0-9a-f]{64})","hashed":"(hmac-sha256|sha256)"),"hash":"([0-9a-f]{64})"\}$/;

/** @returns undefined for what is no line of a chain: torn by a crash, or from elsewhere */
export function readChained(line: string): ChainedLine | undefined {
  const [, said, number, previous, name, hash] = chained.exec(line) ?? [];
  if (said === undefined || previous === undefined || hash === undefined) return undefined;
  return { said, number: Number(number), previous, name: name === 'sha256' ? name : 'hmac-sha256', hash };
}

/** What the lines of a chain have shown, one after the other. */
export interface ChainVerdict {
  readonly end: ChainEnd;
  /** Lines without a key: whoever can write the file can have written them. */
  readonly plain: number;
  /** Lines that are none of a chain. Where nothing else is wrong, they are what a crash has torn, and nothing is missing. */
  readonly torn: number;
  /** Why the first line that does not fit does not. */
  readonly problem?: string;
}

export const emptyChain: ChainVerdict = { end: chainBeginning, plain: 0, torn: 0 };

/** @param verdict on the lines before, which all fit @param hashes those that can be made here */
export function nextVerdict(verdict: ChainVerdict, text: string, hashes: readonly ChainHash[]): ChainVerdict {
  const line = readChained(text);
  if (line === undefined) return { ...verdict, torn: verdict.torn + 1 };
  const problem = hashProblem(line, hashes) ?? placeProblem(line, verdict);
  if (problem !== undefined) return { ...verdict, problem };
  const { number, hash } = line;
  return { ...verdict, end: { number, hash }, plain: verdict.plain + (line.name === 'sha256' ? 1 : 0) };
}

function hashProblem({ name, said, hash }: ChainedLine, hashes: readonly ChainHash[]): string | undefined {
  const fitting = hashes.filter((each) => each.name === name);
  if (fitting.length === 0) return 'its hash is made with a key, and there is none here: ask where that key is';
  if (fitting.some((each) => each.of(said) === hash)) return undefined;
  return name === 'sha256'
    ? 'its hash is not that of what it says: it was changed'
    : 'its hash is not that of what it says under the key: it was changed, or made with another key';
}

function placeProblem(
  { number, previous, name }: ChainedLine,
  { end, plain }: Pick<ChainVerdict, 'end' | 'plain'>,
): string | undefined {
  const isKeyed = end.number > 0 && plain < end.number;
  if (name === 'sha256' && isKeyed) return 'it is made without the key that lines before it are made with';
  if (number !== end.number + 1) {
    const gap = number > end.number + 1 ? `: what is missing is ${missing(end.number + 1, number - 1)}` : '';
    return `expected decision ${end.number + 1}, found decision ${number}${gap}`;
  }
  return previous === end.hash ? undefined : `it does not follow decision ${end.number} as that is here`;
}

function missing(first: number, last: number): string {
  return first === last ? `decision ${first}` : `decisions ${first} to ${last}`;
}
