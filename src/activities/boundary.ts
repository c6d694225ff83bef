import { ApplicationFailure, Context } from '@temporalio/activity';
import { RateLimit, Refusal } from '../domain/failures.ts';
import type { RateLimited } from '../domain/outcomes.ts';

/** How often a step beats, as a part of its heartbeat time-out: two may be lost. */
const beatEvery = 0.3;
/** Where no time-out is set. */
const defaultTimeoutMs = 10_000;

/** What a step tells of itself while it is at work. */
export interface Beat {
  /** What the last attempt noted, before it was cut off; undefined at the first. */
  readonly before: unknown;
  /** Goes with every beat from now on, so that an attempt after this one finds it: small, and JSON-safe. */
  note(details: unknown): void;
}

/**
 * The boundary between adapters and Temporal. While a step is at work it beats, so that Temporal notices a killed worker within
 * seconds. A `Refusal` becomes a non-retryable failure of the same type, a `RateLimit` becomes an outcome, and everything else stays what
 * it is: something broken, to be tried again.
 */
export function answering<Input, Outcome>(
  step: (input: Input, beat: Beat) => Promise<Outcome>,
): (input: Input) => Promise<Outcome | RateLimited> {
  return async (input) => {
    const context = Context.current();
    const before: unknown = context.info.heartbeatDetails;
    // A beat without details would make Temporal forget the last ones.
    let details = before;
    const tell = () => (details === undefined ? context.heartbeat() : context.heartbeat(details));
    const beat = setInterval(tell, beatEvery * (context.info.heartbeatTimeoutMs ?? defaultTimeoutMs));
    try {
      return await step(input, {
        before,
        note(noted) {
          details = noted;
          tell();
        },
      });
    } catch (error) {
      if (error instanceof RateLimit) return { kind: 'rate-limited', until: error.until.toISOString() };
      if (error instanceof Refusal) throw failureOf(error);
      throw error;
    } finally {
      clearInterval(beat);
    }
  };
}

function failureOf(refusal: Refusal): ApplicationFailure {
  const { type, message, details } = refusal;
  return ApplicationFailure.create({ type, message, nonRetryable: true, details: [...details], cause: refusal });
}
