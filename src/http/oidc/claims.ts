import type { JWTPayload } from 'jose';

/** What tokens say, from whichever issuer. */

export function textClaim(claim: unknown): string | undefined {
  return typeof claim === 'string' && claim !== '' ? claim : undefined;
}

/** That the actor of a job is an account at GitHub, and which one: a name may be somebody else's after a rename, an id never is. */
export function gitHubActor({ actor_id: id }: JWTPayload): { readonly actorOf: 'github'; readonly actorId?: number } {
  const text = textClaim(id);
  return { actorOf: 'github', ...(text !== undefined && /^\d{1,15}$/.test(text) && { actorId: Number(text) }) };
}
