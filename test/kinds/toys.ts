import type { Kinds } from '../../src/config/kinds.ts';
import { product } from '../../src/product.ts';
import { toyCheck } from './toy-check/index.ts';
import { toyDeploy } from './toy-deploy/index.ts';
import { toyForge } from './toy-forge/index.ts';
import { toyNotifier } from './toy-notifier/index.ts';
import { toySource } from './toy-source/index.ts';

/** The product with one kind more of everything: a folder and a line each. */
export const toys: Kinds = {
  ...product,
  sources: [...product.sources, toySource],
  checks: [...product.checks, toyCheck],
  deploys: [...product.deploys, toyDeploy],
  forges: [toyForge, ...product.forges],
  notifiers: [...product.notifiers, toyNotifier],
};
