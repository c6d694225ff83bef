/** The networks of senders that have shown that they are who they claim to be: something is kept for them. */
export type KnownNetworks = ReturnType<typeof createKnownNetworks>;

/** GitHub sends from some hundred addresses; whoever can add to these has a secret of ours. */
const mostKnown = 4_096;

/** @param most the one that has not been seen for the longest time is forgotten for another one */
export function createKnownNetworks(most = mostKnown) {
  const networks = new Set<string>();
  return {
    has: (network: string): boolean => networks.has(network),
    add: (network: string): void => {
      // The order of a set is that in which its members came.
      networks.delete(network);
      networks.add(network);
      if (networks.size <= most) return;
      const [oldest = ''] = networks;
      networks.delete(oldest);
    },
  };
}

/**
 * Divides what there is of something among networks, so that none can have all of it: whoever has as much as is still free gets no more.
 * So one network alone gets half, and the next one half of the rest; as what is held ends, all come to have the same, and as much is free
 * for a newcomer. A quarter is kept for known networks, to which the same applies.
 */
export function createShares(all: number, known: Pick<KnownNetworks, 'has'>) {
  const kept = Math.floor(all / 4);
  const held = new Map<string, number>();
  let taken = 0;
  const hold = (network: string, change: 1 | -1): void => {
    taken += change;
    const now = (held.get(network) ?? 0) + change;
    if (now > 0) held.set(network, now);
    else held.delete(network);
  };
  return {
    /** @returns whether the network got one; if so, it is to give it back */
    take: (network: string): boolean => {
      const free = all - taken - (known.has(network) ? 0 : kept);
      if ((held.get(network) ?? 0) >= free) return false;
      hold(network, 1);
      return true;
    },
    /** For whoever speaks for many networks, such as a proxy: bounded only by what there is. */
    takeAny: (network: string): boolean => {
      if (taken >= all) return false;
      hold(network, 1);
      return true;
    },
    giveBack: (network: string): void => hold(network, -1),
  };
}
