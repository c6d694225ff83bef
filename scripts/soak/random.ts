/** A sequence of numbers that a seed determines, so that what was pushed and killed in which order can be had again. */
export interface Random {
  /** From `min` on, below `max`; whole. */
  between(min: number, max: number): number;
  pick<Item>(items: readonly [Item, ...Item[]]): Item;
  /** True in this share (0 to 1) of all calls. */
  chance(share: number): boolean;
}

/** Mulberry32. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (min: number, max: number): number => min + Math.floor(next() * (max - min));
  return {
    between,
    pick: (items) => items[between(0, items.length)] ?? items[0],
    chance: (share) => next() < share,
  };
}
