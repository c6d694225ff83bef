import { z } from 'zod';
import { isImageConfig } from '../../domain/image-config.ts';
import { isTag, type Repository, type Tag, writtenRepository } from '../../domain/image-reference.ts';
import { malformed } from '../../http/problem.ts';
import { repositoryIn } from '../kit/image.ts';
import { account, commitHash, digestIn, originIn, part, present, printableLine, signedBy, texts } from '../kit/reading.ts';
import type { ParsedRequest } from '../kit/source.ts';

const login = part(texts('login'));

const packageSchema = part({
  ...texts('name', 'namespace', 'package_type', 'ecosystem'),
  owner: login,
  registry: part(texts('type', 'url')),
  package_version: part({
    ...texts('name', 'version', 'package_url', 'target_oid'),
    container_metadata: part({
      tag: part(texts('name', 'digest')),
      labels: part({ ...texts('revision'), all_labels: part(texts('org.opencontainers.image.revision')) }),
      manifest: part({ config: part(texts('media_type')) }),
    }),
  }),
});
type Package = NonNullable<z.infer<typeof packageSchema>>;

const eventSchema = z.object({
  ...texts('action'),
  package: packageSchema,
  registry_package: packageSchema,
  repository: part(texts('full_name')),
  sender: account,
});

/**
 * What a `package` or `registry_package` event says.
 * @param body a JSON object
 * @throws Problem 400 if a published package is not described
 */
export function readPackageEvent(event: string, body: object): Partial<ParsedRequest> {
  const parsed = eventSchema.parse(body);
  const action = printableLine(parsed.action, 40);
  // `create` is what the beta of the container registry called it; `updated` comes when a tag moves to a version that is there already.
  if (action !== 'published' && action !== 'updated' && action !== 'create') {
    return { ...present({ action }), ignored: 'expected the action published or updated' };
  }
  const published = (event === 'package' ? parsed.package : parsed.registry_package) ?? parsed.package ?? parsed.registry_package;
  if (published === undefined) throw malformed(`Expected the published package as the object ${event}.`);
  const reason = whyNotAnImage(published);
  if (reason !== undefined) return { action, ignored: reason };
  const tag = tagOf(published, action);
  if (tag === undefined) return { action, ignored: 'no tag was pushed' };
  const fullName = parsed.repository?.full_name;
  const repository = repositoryOf(published, fullName);
  if (repository === undefined) {
    throw malformed('Expected the image in package_version.package_url, or the name and the owner of the package.');
  }
  const metadata = published.package_version?.container_metadata;
  const revision = metadata?.labels?.all_labels?.['org.opencontainers.image.revision'] || metadata?.labels?.revision;
  const built = commitHash(published.package_version?.target_oid);
  const origin = originIn({
    commit: built ?? revision,
    sourceRepository: fullName,
    actor: parsed.sender?.login,
  });
  // A revision is a label, which is whatever the image says.
  const proven = signedBy(
    origin,
    parsed.sender,
    'actor',
    'sourceRepository',
    ...(built === undefined ? [] : (['commit'] as const)),
  );
  return { action, images: [{ repository, tag, ...digestIn(metadata?.tag?.digest), ...origin, ...proven }] };
}

function whyNotAnImage({ package_type, ecosystem, registry, package_version }: Package): string | undefined {
  // Some of GitHub's own examples call a container's package_type npm, while the registry's type is right.
  const types = [package_type || ecosystem, registry?.type].map((type) => type?.toLowerCase());
  if (!types.includes('container') && types[0] !== 'docker') return 'the package is not a container image';
  // Charts and attestations are containers to GitHub; only the type of their config tells.
  const config = package_version?.container_metadata?.manifest?.config?.media_type;
  return config && !isImageConfig(config) ? 'the package is an artifact, but not a container image' : undefined;
}

/** `version` and `name` are the digest in current events, and the tag only in old ones and in short ones. */
function tagOf({ package_version: version }: Package, action: string): Tag | undefined {
  const named = version?.container_metadata?.tag?.name;
  if (named !== undefined) return isTag(named) ? named : undefined;
  if (action === 'updated') return undefined;
  return [version?.version, version?.name].find((candidate) => candidate !== undefined && isTag(candidate)) as Tag | undefined;
}

/**
 * Where an image of GitHub's registry is, from the most telling field down: `package_url` (whose own tag need not be the pushed
 * one), the registry's URL where it leads to a repository (events of 2019), else owner and name. GitHub keeps the case that people
 * typed; image references are lower case.
 * @param sourceRepository `owner/name`, whose owner stands in where the package names none
 * @returns undefined if nothing tells, or what tells is no image reference
 */
export function repositoryOf(published: Package, sourceRepository: string | undefined): Repository | undefined {
  const url = published.package_version?.package_url;
  if (url) return repositoryIn(writtenRepository(url));
  const registry = (published.registry?.url ?? '')
    .slice(0, 500)
    .replace(/^https?:\/\//i, '')
    .replace(/\/+$/, '');
  const [host = '', ...path] = registry.split('/');
  if (path.length >= 2 && !host.toLowerCase().endsWith('.pkg.github.com')) return repositoryIn(registry);
  const owner = published.owner?.login || published.namespace || sourceRepository?.split('/')[0];
  return owner && published.name ? repositoryIn(`ghcr.io/${owner}/${published.name}`) : undefined;
}
