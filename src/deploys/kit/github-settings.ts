import { githubRepository, text } from '../../settings/scalars.ts';
import type { ResolvedStage } from '../deploy.ts';

/** What deploys have in common that GitHub is asked for. */

export const askedAt = {
  repository: githubRepository.meta({ description: 'owner/name. Default: that of the change.' }).exactOptional(),
  ref: text('a branch or tag').meta({ description: 'Default: the base of the change, else main.' }).exactOptional(),
};

export function refOf({ ref }: { readonly ref?: string }, { change }: ResolvedStage): string {
  return ref ?? change?.base ?? 'main';
}
