import { z } from 'zod';
import { isImageConfig } from '../../domain/image-config.ts';
import { isDigest, isTag, type Tag } from '../../domain/image-reference.ts';
import { malformed } from '../../http/problem.ts';
import { part, text } from '../kit/loose.ts';
import type { ParsedRequest, PushedImage } from '../kit/receiver.ts';
import { commitHash, printableLine } from '../kit/sender-text.ts';
import { repositoryOf } from './repository.ts';

/*
 * Fields are read for what they are worth: GitHub leaves them out, empties them and nulls them from one kind of webhook to the next,
 * so a field of an unexpected type counts as absent, and only a missing package is an error.
 */
const login = part({ login: text });

const packageSchema = z.object({
  name: text,
  namespace: text,
  package_type: text,
  ecosystem: text,
  owner: login,
  registry: part({ type: text, url: text }),
  package_version: part({
    name: text,
    version: text,
    package_url: text,
    target_oid: text,
    container_metadata: part({
      tag: part({ name: text, digest: text }),
      labels: part({
        revision: text,
        source: text,
        all_labels: part({ 'org.opencontainers.image.revision': text, 'org.opencontainers.image.source': text }),
      }),
      manifest: part({ config: part({ media_type: text }) }),
    }),
  }),
});
type Package = z.infer<typeof packageSchema>;

const eventSchema = z.object({
  action: text,
  package: packageSchema.optional().catch(undefined),
  registry_package: packageSchema.optional().catch(undefined),
  repository: part({ full_name: text }),
  sender: login,
});

type PackageEventBody = z.infer<typeof eventSchema>;

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
    return { ...(action === undefined ? {} : { action }), ignored: 'expected the action published or updated' };
  }
  const published = (event === 'package' ? parsed.package : parsed.registry_package) ?? parsed.package ?? parsed.registry_package;
  if (published === undefined) throw malformed(`Expected the published package as the object ${event}.`);
  const reason = whyNotAnImage(published);
  if (reason !== undefined) return { action, ignored: reason };
  const tag = tagOf(published, action);
  if (tag === undefined) return { action, ignored: 'no tag was pushed' };
  const repository = repositoryOf(published, parsed.repository?.full_name);
  if (repository === undefined) {
    throw malformed('Expected the image in package_version.package_url, or the name and the owner of the package.');
  }
  return { action, images: [{ repository, tag, ...aboutImage(published), ...aboutPush(parsed) }] };
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

function aboutImage({ package_version: version }: Package): Pick<PushedImage, 'digest' | 'commit'> {
  const metadata = version?.container_metadata;
  const digest = metadata?.tag?.digest;
  const revision = metadata?.labels?.all_labels?.['org.opencontainers.image.revision'] || metadata?.labels?.revision;
  const commit = commitHash(version?.target_oid) ?? commitHash(revision);
  return {
    ...(digest !== undefined && isDigest(digest) ? { digest } : {}),
    ...(commit === undefined ? {} : { commit }),
  };
}

function aboutPush({ repository, sender }: PackageEventBody): Pick<PushedImage, 'sourceRepository' | 'actor'> {
  const sourceRepository = repository?.full_name;
  const actor = printableLine(sender?.login, 100);
  return {
    ...(sourceRepository !== undefined && /^[\w.-]{1,100}\/[\w.-]{1,100}$/.test(sourceRepository) ? { sourceRepository } : {}),
    ...(actor === undefined ? {} : { actor }),
  };
}
