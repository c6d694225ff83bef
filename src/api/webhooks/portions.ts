import { createHash } from 'node:crypto';

/** What is taken of a list at once. */
interface Portion<Item> {
  readonly items: readonly Item[];
  /** How many come after these. */
  readonly left: number;
  /** Says that these need not be taken again. */
  isDone(): void;
}

/** Lists that are remembered; who sends more long ones at a time begins again, and loses nothing. */
const mostRemembered = 1_000;

/**
 * Long lists are taken in portions, one for each time that the same list comes. It is remembered in this process alone: another one
 * begins at the beginning, where all is taken already and costs little.
 */
export function createPortions(most: number) {
  const taken = new Map<string, number>();
  return <Item>(all: readonly Item[], nameOf: (item: Item) => string): Portion<Item> => {
    if (all.length <= most) return { items: all, left: 0, isDone: () => undefined };
    const key = createHash('sha256')
      .update(JSON.stringify(all.map(nameOf)))
      .digest('base64');
    const from = taken.get(key) ?? 0;
    const to = Math.min(from + most, all.length);
    return {
      items: all.slice(from, to),
      left: all.length - to,
      isDone: () => {
        taken.delete(key);
        if (to < all.length) taken.set(key, to);
        const [oldest] = taken.keys();
        if (taken.size > mostRemembered && oldest !== undefined) taken.delete(oldest);
      },
    };
  };
}
