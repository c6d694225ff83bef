import type { ForgeKind } from './forge.ts';
import { gitForge } from './git/index.ts';
import { gitHubForge } from './github/index.ts';

/** Every kind of forge; the first that takes a repository for its own has it. To add one: its folder, and a line here. */
export const forges: readonly ForgeKind[] = [gitHubForge, gitForge];
