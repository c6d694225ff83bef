import { messageOf } from './errors.ts';

/** What became of asking one thing outside whether it is there and lets us do what we are to do. */
export interface Diagnosis {
  /** What was asked: `registry ghcr.io`, `web, stage production`. */
  readonly what: string;
  /** `warning`: it goes on, and somebody should look all the same. */
  readonly verdict: 'fine' | 'warning' | 'problem';
  /** What was found; of anything but `fine`, also what to do. */
  readonly text: string;
}

/** What a kind says of it. What it throws is a problem, with its message. */
export type Diagnosed = Omit<Diagnosis, 'what'>;

export function fine(text: string): Diagnosed {
  return { verdict: 'fine', text };
}

export function warning(text: string): Diagnosed {
  return { verdict: 'warning', text };
}

/** Asks, and takes what goes wrong for the answer. */
export async function diagnose(
  what: string,
  withinMs: number,
  ask: (signal: AbortSignal) => Promise<Diagnosed>,
): Promise<Diagnosis> {
  const signal = AbortSignal.timeout(withinMs);
  const late = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () =>
      reject(new Error(`no answer within ${withinMs / 1_000} s: see whether it is up and can be reached`)),
    );
  });
  // Whoever loses the race is heard by nobody.
  late.catch(() => undefined);
  try {
    return { what, ...(await Promise.race([ask(signal), late])) };
  } catch (error) {
    return { what, verdict: 'problem', text: messageOf(error) };
  }
}
