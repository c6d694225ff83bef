import { builders } from './builds/builders/index.ts';
import { projects } from './builds/projects/index.ts';
import { checks } from './checks/index.ts';
import type { Kinds } from './config/kinds.ts';
import { deploys } from './deploys/index.ts';
import { forges } from './forges/index.ts';
import { notifiers } from './notifiers/index.ts';
import { sources } from './sources/index.ts';

/** The kinds that Landfall comes with. To add one of your own: its folder, and a line in the list of its room. */
export const product: Kinds = { sources, projects, builders, checks, deploys, forges, notifiers };
