import { pathOf, type Repository, registryOf, type Tag } from '../domain/image-reference.ts';
import type { ImageIdentity } from '../domain/outcomes.ts';
import {
  type ChangedFile,
  type ChangePlan,
  type ChangeTarget,
  dispatchOfPush,
  type Plan,
  type ProbePlan,
  type StagePlan,
} from '../domain/plan.ts';
import { followedApart, follows, type TagPolicy } from '../domain/tag-policy.ts';
import { exactness, isOfAnyDepth, matchesPattern, matchesWildcard } from '../settings/image-pattern.ts';
import type { Configuration } from './configuration.ts';
import type { Kinds } from './kinds.ts';
import { shortenedName, shortHash } from './names.ts';
import type { ServiceSettings } from './service.ts';

/** The plans of the services that follow a pushed image; none: nobody wants it. */
export function plansFor(configuration: Configuration, repository: Repository, tag: Tag): Plan[] {
  return plansOfRepository(configuration, repository, tag).filter((plan) => follows(plan.tags, tag));
}

/**
 * The plans of the services that follow a repository, whatever the tag. Where each tag goes its own way, only that of `tag`. Entries that name the repository itself win over patterns, and
 * there may be several of them; of the patterns the most exact one counts, the first of equals.
 */
export function plansOfRepository(configuration: Configuration, repository: Repository, tag?: Tag): Plan[] {
  return plansOfAllTags(configuration, repository).flatMap((plan) => ofOneTag(plan, tag));
}

function plansOfAllTags(configuration: Configuration, repository: Repository): Plan[] {
  const matching = configuration.services.filter(({ image }) => matchesPattern(image, repository));
  const exact = matching.filter(({ image }) => image.repository !== undefined);
  if (exact.length > 0) return exact.map((service) => planFrom(configuration, service, repository, service.name));
  const [best] = matching.sort((a, b) => exactness(b.image) - exactness(a.image));
  return best === undefined ? [] : [planFrom(configuration, best, repository, nameFromPattern(configuration, best, repository))];
}

/** As of a service that follows this tag alone, where each goes its own way: no name in a configuration has an `@`. */
function ofOneTag(plan: Plan, tag: Tag | undefined): Plan[] {
  if (!followedApart(plan.tags)) return [plan];
  if (tag === undefined || !follows(plan.tags, tag)) return [];
  return [{ ...plan, service: shortenedName(`${plan.service}@${tag}`), tags: { kind: 'exact', tags: [tag] } }];
}

/** The plan of a service that names one repository; undefined if there is none of that name, or a pattern would have to tell. */
export function planOf(configuration: Configuration, service: string): Plan | undefined {
  const found = configuration.services.find(({ name, image }) => name === service && image.repository !== undefined);
  return found?.image.repository && planFrom(configuration, found, found.image.repository, service);
}

/** What is said of one stage of a service that follows a repository. */
export function stageOf(
  configuration: Configuration,
  { repository, tag }: Pick<ImageIdentity, 'repository' | 'tag'>,
  service: string,
  stage: string,
): StagePlan | undefined {
  const plan = plansOfRepository(configuration, repository, tag).find((candidate) => candidate.service === service);
  return plan?.stages.find(({ name }) => name === stage);
}

/** The plans of the services that name one repository of a registry (`ghcr.io`): which others there are, a pattern does not tell. */
export function plansOfHost(configuration: Configuration, host: string): Plan[] {
  return searchedServices(configuration).flatMap(({ service, repository }) =>
    registryOf(repository) === host ? [planFrom(configuration, service, repository, service.name)] : [],
  );
}

/** Whose pushes can be missed: what is passed on push by push is gone when it was not told of, and of tags apart nobody says which are in use. */
function searchedServices({ services }: Configuration): { readonly service: ServiceSettings; readonly repository: Repository }[] {
  return services.flatMap((service) => {
    const { repository } = service.image;
    if (repository === undefined || dispatchOfPush(service) !== undefined || followedApart(service.tags)) return [];
    return [{ service, repository }];
  });
}

/** The registries that are searched for missed pushes, each with its milliseconds from one search to the next. */
export function searchedRegistries(configuration: Configuration): Map<string, number> {
  const { registries, searchEveryMs = 'off' } = configuration;
  const searched = searchedServices(configuration).flatMap(({ repository }) => {
    const host = registryOf(repository);
    const everyMs = registries[host]?.searchEveryMs ?? searchEveryMs;
    return everyMs === 'off' ? [] : [[host, everyMs] as const];
  });
  return new Map(searched);
}

/**
 * What the pattern leaves open, in place of `*`: the path from its first `*` on, which is the last segment for most. Where a service of
 * another repository has that very name, as much of the path is put before it as it takes: two repositories never share a lane. So paths of any
 * depth are joined by what hardly a segment has.
 */
function nameFromPattern(configuration: Configuration, { name, image }: ServiceSettings, repository: Repository): string {
  const isTaken = (candidate: string) =>
    configuration.services.some((service) => service.image.repository !== undefined && service.name === candidate);
  const segments = pathOf(repository).split('/');
  const open = image.text.split('/').findIndex((component) => component.includes('*'));
  const names = segments
    .slice(0, open)
    .map((_, index) => shortenedName(name.replace('*', joined(segments.slice(index), isOfAnyDepth(image)))))
    .reverse();
  return names.find((candidate) => !isTaken(candidate)) ?? shortenedName(name.replace('*', repository.replace(/[/:]/g, '-')));
}

function joined(segments: readonly string[], isAnyDepth: boolean): string {
  if (!isAnyDepth) return segments.join('-');
  const name = segments.join('__');
  return segments.some((segment) => segment.includes('__')) ? `${name}-${shortHash(segments.join('/'))}` : name;
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
    checks: checks.map((check) => filledIn(check, kinds.checks, (text) => text.replaceAll('{service}', service))),
    stages: stages.map((stage) => stageFrom(stage, service, kinds)),
    ...(told.length > 0 && { notify: told.map(({ notifier }) => notifier) }),
  };
}

/** What only the names of a service and a stage can tell: `{service}` and `{stage}` in texts. */
type Fill = (text: string) => string;

function stageFrom({ change, deploy, watch, ...stage }: StagePlan, service: string, { deploys }: Kinds): StagePlan {
  const fill: Fill = (text) => text.replaceAll('{service}', service).replaceAll('{stage}', stage.name);
  return {
    ...stage,
    ...(change && { change: changeFrom(change, fill) }),
    ...(deploy && { deploy: filledIn(deploy, deploys, fill) }),
    ...(watch && { watch: { ...watch, probes: watch.probes.map((probe) => probeFrom(probe, fill)) } }),
  };
}

function filledIn<Part extends { readonly kind: string; readonly settings: object }>(
  part: Part,
  kinds: readonly { readonly kind: string; fill?(settings: object, fill: Fill): object }[],
  fill: Fill,
): Part {
  const kind = kinds.find(({ kind }) => kind === part.kind);
  return kind?.fill === undefined ? part : { ...part, settings: kind.fill(part.settings, fill) };
}

function changeFrom(change: ChangePlan, fill: Fill): ChangePlan {
  const { also } = change;
  return { ...changedFrom(change, fill), ...(also && { also: also.map((file) => changedFrom(file, fill)) }) };
}

function changedFrom<File extends ChangedFile>(changed: File, fill: Fill): File {
  return { ...changed, file: fill(changed.file), target: targetFrom(changed.target, fill) };
}

function targetFrom(target: ChangeTarget, fill: Fill): ChangeTarget {
  switch (target.kind) {
    case 'compose':
      return { ...target, services: target.services.map(fill) };
    case 'yaml':
      return { ...target, path: typeof target.path === 'string' ? fill(target.path) : target.path.map(fill) };
    case 'marker':
      return { ...target, name: fill(target.name) };
    case 'env':
      return { ...target, key: fill(target.key) };
    case 'images':
      return target;
  }
}

function probeFrom(probe: ProbePlan, fill: Fill): ProbePlan {
  if (probe.kind === 'http') return { ...probe, url: fill(probe.url) };
  if (probe.kind === 'tcp') return { ...probe, host: fill(probe.host) };
  if (probe.kind === 'argocd' || probe.kind === 'flux')
    return { ...probe, name: fill(probe.name), namespace: fill(probe.namespace) };
  if (probe.kind !== 'docker' || probe.containers === undefined) return probe;
  return { ...probe, containers: probe.containers.map(fill) };
}

/** What is followed, in one line per service, for people. */
export function describeFollowed(configuration: Configuration): string[] {
  return configuration.services.map(({ name, image, tags }) => `${name}: ${image.text} (${describeTags(tags)})`);
}

/** Which tags are followed, for people. */
export function describeTags(tags: TagPolicy): string {
  if (tags.kind === 'exact') return tags.tags.join(', ');
  return tags.kind === 'semver' ? `semver ${tags.range}` : `pattern ${tags.pattern}`;
}
