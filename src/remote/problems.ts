import { z } from 'zod';
import { Ambiguous, InvalidInput, NotFound, type OperationError, Refused, Unreachable } from '../operations/errors.ts';
import type { ApiPlace } from '../operations/operations.ts';

/** problem+json, as RFC 9457 has it and the API answers it. */
const problemShape = z.looseObject({
  type: z.string().optional(),
  title: z.string().optional(),
  detail: z.string().optional(),
  candidates: z.array(z.string()).optional(),
});

/** The error that the operation itself would have thrown here. */
export function problemError(answer: unknown, status: number, place: ApiPlace): OperationError {
  const parsed = problemShape.safeParse(answer);
  const { type = '', title, detail = title ?? `status ${status}`, candidates = [] } = parsed.success ? parsed.data : {};
  const name = type.split('/').at(-1);
  if (name === 'invalid-input') return new InvalidInput(detail);
  if (name === 'not-found') return new NotFound(detail);
  if (name === 'ambiguous') return new Ambiguous(detail, candidates);
  if (status === 401) return new Refused(whoAreYou(detail, place));
  if (name === 'failed') return new Unreachable(`Landfall at ${place.url.origin} failed: ${detail}`);
  // It may have been done all the same.
  return status === 408 || status === 429 || status >= 500 ? new Unreachable(detail) : new Refused(detail);
}

function whoAreYou(detail: string, { url, token }: ApiPlace): string {
  if (token === undefined)
    return `Landfall at ${url.origin} has to know who asks: set LANDFALL_TOKEN to your token. Who runs that Landfall gives you one: landfall token NAME`;
  return `Landfall at ${url.origin} does not take what is in LANDFALL_TOKEN: ${detail} Was it changed there, or is it of another Landfall?`;
}
