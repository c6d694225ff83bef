import type { Attribution } from '../domain/lane/state.ts';
import { nameOfPerson, typedName, typedReason } from '../domain/person.ts';

/** Who decided, as they typed it, when, and why. Operators may type anything, or nothing. */
export function attributionOf(typed: { readonly by?: string; readonly reason?: string } | undefined): Attribution {
  const by = nameOfPerson({ by: typedName(typed?.by), verified: false });
  const reason = typedReason(typed?.reason);
  return { by, ...(reason !== '' && { reason }), at: new Date().toISOString() };
}
