import type { CheckKind } from './check.ts';
import { integrationCheck } from './integration/index.ts';
import { scanCheck } from './scan/index.ts';
import { smokeCheck } from './smoke/index.ts';

/** Every kind of check, in the order in which people see them. To add one: its folder, and a line here. */
export const checks: readonly CheckKind[] = [scanCheck, smokeCheck, integrationCheck];
