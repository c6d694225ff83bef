import { z } from 'zod';

/*
 * Senders leave fields out, empty them and null them from one version to the next. So a field of an unexpected type counts as absent;
 * what cannot be done without is asked for where it is needed.
 */
export const text = z.string().optional().catch(undefined);

export function part<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.object(shape).optional().catch(undefined);
}

export function listOf<Item extends z.ZodType>(item: Item) {
  return z.array(item).catch([]);
}
