import type { Repository, Tag } from '../domain/image-reference.ts';
import { pathOf, registryOf } from '../domain/image-reference.ts';
import { dispatchOfPush, type Plan } from '../domain/plan.ts';
import { follows, type TagPolicy } from '../domain/tag-policy.ts';
import { exactness, matchesPattern, matchesWildcard } from '../settings/image-pattern.ts';
import type { Configuration, ServiceSettings } from './configuration.ts';
import { checkFrom, stageFrom } from './fill-in.ts';
import { shortenedName } from './service-name.ts';

/** The plans of the services that follow a pushed image; none: nobody wants it. */
export function plansFor(configuration: Configuration, repository: Repository, tag: Tag): Plan[] {
  return plansOfRepository(configuration, repository).filter((plan) => follows(plan.tags, tag));
}

/**
 * The plans of the services that follow a repository, whatever the tag. Entries that name the repository itself win over patterns, and
 * there may be several of them; of the patterns the most exact one counts, the first of equals.
 */
export function plansOfRepository(configuration: Configuration, repository: Repository): Plan[] {
  const matching = configuration.services.filter(({ image }) => matchesPattern(image, repository));
  const exact = matching.filter(({ image }) => image.repository !== undefined);
  if (exact.length > 0) return exact.map((service) => planFrom(configuration, service, repository, service.name));
  const [best] = matching.sort((a, b) => exactness(b.image) - exactness(a.image));
  return best === undefined ? [] : [planFrom(configuration, best, repository, nameFromPattern(configuration, best, repository))];
}

/** The plan of a service that names one repository; undefined if there is none of that name, or a pattern would have to tell. */
export function planOf(configuration: Configuration, service: string): Plan | undefined {
  const found = configuration.services.find(({ name, image }) => name === service && image.repository !== undefined);
  return found?.image.repository === undefined ? undefined : planFrom(configuration, found, found.image.repository, found.name);
}

/** The plans of the services that name one repository of a registry (`ghcr.io`): which others there are, a pattern does not tell. */
export function plansOfHost(configuration: Configuration, host: string): Plan[] {
  return searchedServices(configuration).flatMap(({ service, repository }) =>
    registryOf(repository) === host ? [planFrom(configuration, service, repository, service.name)] : [],
  );
}

/** Whose pushes can be missed: what is passed on push by push is gone when it was not told of. */
function searchedServices({ services }: Configuration): { readonly service: ServiceSettings; readonly repository: Repository }[] {
  return services.flatMap((service) => {
    const { repository } = service.image;
    return repository === undefined || dispatchOfPush(service) !== undefined ? [] : [{ service, repository }];
  });
}

/** The registries that are searched for missed pushes, each with its milliseconds from one search to the next. */
export function searchedRegistries(configuration: Configuration): Map<string, number> {
  const { registries, searchEveryMs } = configuration;
  const hosts = new Set(searchedServices(configuration).map(({ repository }) => registryOf(repository)));
  const searched = new Map<string, number>();
  for (const host of hosts) {
    const everyMs = registries[host]?.searchEveryMs ?? searchEveryMs;
    if (everyMs !== undefined && everyMs !== 'off') searched.set(host, everyMs);
  }
  return searched;
}

/**
 * What the pattern leaves open, in place of `*`: the path from its first `*` on, which is the last segment for most. Where a service of another repository has that very name, as much of the path is put before it
 * as it takes: two repositories never share a lane.
 */
function nameFromPattern(configuration: Configuration, { name, image }: ServiceSettings, repository: Repository): string {
  const taken = new Set(
    configuration.services.filter(({ image }) => image.repository !== undefined).map((service) => service.name),
  );
  const segments = pathOf(repository).split('/');
  const open = image.text.split('/').findIndex((component) => component.includes('*'));
  const names = segments
    .slice(0, open)
    .map((_, index) => shortenedName(name.replace('*', segments.slice(index).join('-'))))
    .reverse();
  return names.find((candidate) => !taken.has(candidate)) ?? shortenedName(name.replace('*', repository.replace(/[/:]/g, '-')));
}

function planFrom(
  { kinds, notify }: Configuration,
  { image: _image, name: _name, checks, stages, ...settings }: ServiceSettings,
  repository: Repository,
  service: string,
): Plan {
  const told = notify.filter(({ services }) => services.some((pattern) => matchesWildcard(pattern, service)));
  return {
    ...settings,
    service,
    repository,
    checks: checks.map((check) => checkFrom(check, service, kinds)),
    stages: stages.map((stage) => stageFrom(stage, service, kinds)),
    ...(told.length === 0 ? {} : { notify: told.map(({ notifier }) => notifier) }),
  };
}

/** What is followed, in one line per service, for people. */
export function describeFollowed(configuration: Configuration): string[] {
  return configuration.services.map(({ name, image, tags }) => `${name}: ${image.text} (${describeTags(tags)})`);
}

/** Which tags are followed, for people. */
export function describeTags(tags: TagPolicy): string {
  switch (tags.kind) {
    case 'exact':
      return tags.tags.join(', ');
    case 'semver':
      return `semver ${tags.range}`;
    case 'pattern':
      return `pattern ${tags.pattern}`;
  }
}
