import { masked } from '../domain/inert-text.ts';

/** Replaces every secret that it knows, in any text. */
export interface Mask {
  /** What was read from a secret reference; short texts are not taken, as they would be found everywhere. */
  add(secret: string): void;
  (text: string): string;
}

const shortestSecret = 6;
/** In a URL, what is shorter is a path like others have. */
const shortestUrlPart = 12;
/** A secret in a file may be rotated for years: those of long ago are forgotten. */
const mostSecrets = 2_000;

/** Tokens that say themselves what they are, made while running or held by others: GitHub, GitLab, Slack, Landfall, JWT, Authorization. */
const selfEvident =
  /\b(?:gh[pousr]_\w{16,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,}|landfall_[\w-]{40,}|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|(?:Bearer|Basic) (?=[a-z._~+/-]{0,100}[A-Z\d])[\w.~+/-]{8,}=*)/g;
const passwordInUrl = /(:\/\/[^\s/:@"]{0,100}:)[^\s/@"]{1,1000}(?=@)/g;

/**
 * The log goes through this as a whole, so it is made for many secrets and short lines: what begins a secret is found by a table of its
 * first four characters, and only there is compared. Also found are the forms that a secret takes in JSON, in a URL and in Base64 (wherever
 * in the encoded text it stands), the lines of a secret of several, and the path and password of one that is a URL.
 */
export function createMask(): Mask {
  const known = new Set<string>();
  const starts = new Uint8Array(65_536);
  const byStart = new Map<number, string[]>();
  const learn = (secret: string): void => {
    for (const form of partsOf(secret).flatMap(formsOf)) {
      const start = startAt(form, 0);
      const forms = new Set(byStart.get(start)).add(form);
      // The longest first: one secret may be the beginning of another.
      byStart.set(
        start,
        [...forms].sort((one, other) => other.length - one.length),
      );
      starts[start] = 1;
    }
  };
  const forgetOldest = (): void => {
    for (const old of [...known].slice(0, mostSecrets / 2)) known.delete(old);
    starts.fill(0);
    byStart.clear();
    for (const secret of known) learn(secret);
  };
  const replace = (text: string): string => {
    let [answer, done] = ['', 0];
    for (let index = 0; index <= text.length - shortestSecret; index += 1) {
      const start = startAt(text, index);
      const form = starts[start] === 1 ? byStart.get(start)?.find((each) => text.startsWith(each, index)) : undefined;
      if (form === undefined) continue;
      answer += text.slice(done, index) + masked;
      done = index + form.length;
      index = done - 1;
    }
    return done === 0 ? text : answer + text.slice(done);
  };
  const add = (secret: string): void => {
    if (known.has(secret)) return;
    known.add(secret);
    if (known.size > mostSecrets) forgetOldest();
    else learn(secret);
  };
  const hide = (text: string) => replace(text).replace(selfEvident, masked).replace(passwordInUrl, `$1${masked}`);
  return Object.assign(hide, { add });
}

/** Without a closure: it is asked for every character of the log. */
function startAt(text: string, index: number): number {
  const first = text.charCodeAt(index) * 29_791 + text.charCodeAt(index + 1) * 961;
  return (first + text.charCodeAt(index + 2) * 31 + text.charCodeAt(index + 3)) & 0xffff;
}

/** What must not be seen of a secret: itself, and what of it may be seen apart from the rest. */
function partsOf(secret: string): string[] {
  const whole = secret.trim();
  const lines = whole.split(/\r?\n/).map((line) => line.trim());
  const ofKey = lines.length === 1 ? [] : lines.filter((line) => line.length >= shortestUrlPart && !line.startsWith('-----'));
  return [whole, ...ofKey, ...partsOfUrl(whole)].filter((part) => part.length >= shortestSecret);
}

function partsOfUrl(text: string): string[] {
  if (!/^[a-z]+:\/\//i.test(text) || !URL.canParse(text)) return [];
  const { pathname, search, username, password } = new URL(text);
  const parts = [`${pathname}${search}`, pathname].filter(({ length }) => length >= shortestUrlPart);
  return [...parts, password, decoded(password), ...(password === '' ? [username] : [])];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function formsOf(part: string): string[] {
  const inJson = JSON.stringify(part).slice(1, -1);
  const forms = [part, inJson, JSON.stringify(inJson).slice(1, -1), ...inUrl(part), ...inBase64(Buffer.from(part))];
  return [...new Set(forms)].filter(({ length }) => length >= shortestSecret);
}

function inUrl(part: string): string[] {
  try {
    const encoded = encodeURIComponent(part);
    return [
      encoded,
      encoded.replaceAll(/%[\dA-F]{2}/g, (code) => code.toLowerCase()),
      encodeURI(part),
      encoded.replaceAll('%20', '+'),
    ];
  } catch {
    // Half a surrogate pair cannot stand in a URL.
    return [];
  }
}

/** Three forms, by what stands before it in the encoded text; without the characters that depend on its neighbours. */
function inBase64(bytes: Buffer): string[] {
  return [0, 1, 2].flatMap((before) => {
    const [first, last] = [Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6)];
    const padded = Buffer.concat([Buffer.alloc(before), bytes]);
    return [padded.toString('base64').slice(first, last), padded.toString('base64url').slice(first, last)];
  });
}
