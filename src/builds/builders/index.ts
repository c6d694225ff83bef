import type { BuilderKind } from '../builder.ts';
import { buildkitBuilder } from './buildkit/index.ts';
import { buildxBuilder } from './buildx/index.ts';

/** Every kind of builder. To add one: its folder, and a line here. */
export const builders: readonly BuilderKind[] = [buildxBuilder, buildkitBuilder];
