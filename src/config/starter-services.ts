import { stringify } from 'yaml';
import type { StarterServices } from '../deploys/deploy.ts';
import type { Kinds } from './kinds.ts';
import { starterConfiguration } from './starter.ts';

export type { StarterServices };

const noServices = '\nservices: []\n';

/** The starter with services in it. */
export function starterWith(kinds: Pick<Kinds, 'sources'>, { entries, leftOut }: StarterServices, from: string): string {
  const starter = starterConfiguration(kinds);
  const notes = leftOut.map((line) => `# left out: ${line.replace(/[\r\n]+/g, ' ')}\n`).join('');
  const yaml =
    entries.length === 0 ? 'services: []\n' : stringify({ services: entries }, { lineWidth: 0, flowCollectionPadding: true });
  const text = `\n# Made from ${from}. Each push that is followed is verified, scanned, started once, and then deployed there.\n${notes}${yaml}`;
  if (!starter.includes(noServices)) throw new Error('expected a starter without services');
  return starter.replace(noServices, () => text);
}
