import { Option } from 'commander';
import type { CliContext } from './context.ts';

/** Options that several commands have. */

/** The same default as the service's own. */
export const configOption = ({ env }: Pick<CliContext, 'env'>) =>
  new Option('-c, --config <file>', 'configuration file').default(env.LANDFALL_CONFIG ?? 'landfall.yaml');

export const jsonOption = () => new Option('--json', 'print JSON');

export const reasonOption = () => new Option('--reason <text>', 'why');

export const asOption = () =>
  new Option('--as <operator>', 'who decides; else LANDFALL_OPERATOR, else the user of this machine. LANDFALL_TOKEN proves it');

/** What is said to a lane carries no proof, so the name is only a name. */
export const byOption = () => new Option('--as <operator>', 'who says so; else LANDFALL_OPERATOR, else the user of this machine');

export const rolloutArgument = 'id of the rollout, or any beginning of it that only one has';

/** Whom the record names: who says so, else whoever runs the command. */
export function nameOf({ as }: { readonly as?: string }, { operator }: Pick<CliContext, 'operator'>): string {
  return as?.trim() || operator;
}
