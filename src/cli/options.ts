import { Option } from 'commander';
import type { Surroundings } from './terminal.ts';

/** Options that several commands have. */

/** The same default as the service's own. */
export const configOption = ({ env }: Pick<Surroundings, 'env'>) =>
  new Option('-c, --config <file>', 'configuration file').default(env.LANDFALL_CONFIG ?? 'landfall.yaml');

export const jsonOption = () => new Option('--json', 'print JSON');

export const reasonOption = () => new Option('--reason <text>', 'why');

export const asOption = () =>
  new Option('--as <operator>', 'who decides; else LANDFALL_OPERATOR, else the user of this machine. LANDFALL_TOKEN proves it');

/** What is said to a lane carries no proof, so the name is only a name. */
export const byOption = () => new Option('--as <operator>', 'who says so; else LANDFALL_OPERATOR, else the user of this machine');
