import { hashOfToken, shortestToken } from '../domain/decision-proof.ts';
import type { Actor } from '../operations/index.ts';
import { type CliContext, nameOf } from './context.ts';
import { UsageFailure } from './errors.ts';

/**
 * Who decides, with what proves it.
 * @throws UsageFailure where LANDFALL_TOKEN cannot be a token
 */
export async function actorOf(options: { readonly as?: string }, context: CliContext): Promise<Actor> {
  const name = nameOf(options, context);
  const token = tokenIn(context.env);
  return token === undefined ? { name } : { name, tokenHash: await hashOfToken(token) };
}

/** What LANDFALL_TOKEN says, if anything. @throws UsageFailure where it cannot be a token */
export function tokenIn({ LANDFALL_TOKEN }: CliContext['env']): string | undefined {
  const token = LANDFALL_TOKEN?.trim();
  if (!token) return undefined;
  if (token.length >= shortestToken) return token;
  throw new UsageFailure(
    `expected a token of at least ${shortestToken} characters in LANDFALL_TOKEN (landfall token makes one), found ${token.length}`,
  );
}
