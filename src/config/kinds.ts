import type { Environment } from '../settings/environment.ts';
import type { AnySource, DropIn } from '../sources/kit/source.ts';

/**
 * Every kind of thing that a Landfall knows: what may stand in its configuration, and what its rollouts can do. `src/product.ts` has
 * those of the product; whoever reads a configuration is handed them. Each kind is a folder of its own.
 */
export interface Kinds {
  /** Who may report pushes, by the keys of `receivers`. */
  readonly sources: readonly AnySource[];
}

/** The configuration that the environment stands for if there is no file; undefined unless it asks for one. */
export function dropInOf({ sources }: Pick<Kinds, 'sources'>, env: Environment): DropIn | undefined {
  return sources.map((source) => source.dropIn?.(env)).find((found) => found !== undefined);
}
