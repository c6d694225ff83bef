import { pathOf, type Repository, registryOf } from '../../domain/image-reference.ts';
import type { ImageIdentity } from '../../domain/outcomes.ts';
import { type ComponentChild, h, outsideLink } from '../html.ts';
import { shortDigest } from '../text.ts';

/** Ways out of the page, one click away. */

/** Most registries show a repository to people at the very path that it has. One without a dot, or with a port, is of an own network. */
export function registryLink({ repository, tag }: Pick<ImageIdentity, 'repository' | 'tag'>): ComponentChild {
  return outsideLink(pageOfRepository(repository), h('code', null, `${repository}:${tag}`));
}

function pageOfRepository(repository: Repository): string | undefined {
  const registry = registryOf(repository);
  if (registry === 'docker.io') return `https://hub.docker.com/r/${pathOf(repository)}`;
  return registry.includes('.') && !registry.includes(':') && !/^[\d.]+$/.test(registry) ? `https://${repository}` : undefined;
}

/** Beside a pull request at `…/OWNER/NAME/pull/N` its commits are at `…/OWNER/NAME/commit/SHA`. */
export function commitLink(proposal: string, commit: string): ComponentChild {
  const repository = /^(https?:\/\/.+)\/pulls?\/\d+$/.exec(proposal)?.[1];
  const text = h('code', { title: commit }, shortDigest(commit));
  return outsideLink(repository && `${repository}/commit/${commit}`, text);
}
