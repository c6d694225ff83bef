import { part, text } from '../kit/loose.ts';
import { type EventReading, type PushDetails, readImage, withDetails } from '../kit/readings.ts';
import { splitReference } from '../kit/reference-text.ts';
import { registryOfUrl } from '../kit/registry-host.ts';
import { commitHash } from '../kit/sender-text.ts';
import type { CloudEvent } from './envelope.ts';

const dataSchema = part({
  repository: text,
  repositoryName: text,
  tag: text,
  imageTag: text,
  digest: text,
  imageDigest: text,
  registry: text,
  registryUrl: text,
  commit: text,
});

/** `com.example.container.push`, `org.container.image.published`: no specification names these, so any such word will do. */
export function isContainerEvent({ type }: CloudEvent): boolean {
  return /container|image/i.test(type);
}

/** A CloudEvent about an image, from a sender that has no format of its own. What its data leaves out is taken from subject and source. */
export function readContainerEvent({ type, source, subject, data }: CloudEvent): EventReading {
  if (!/push|publish|upload|creat|updat|releas|built/i.test(type))
    return { ignored: 'expected an event about an image that was pushed' };
  const said = dataSchema.parse(data) ?? {};
  const named = splitReference(said.repositoryName || said.repository);
  const fallback = splitReference(subject);
  const image = {
    name: nameAt(said.registryUrl || said.registry, source, named.name || fallback.name),
    tag: said.imageTag || said.tag || named.tag || fallback.tag,
    digest: said.imageDigest || said.digest || named.digest || fallback.digest,
  };
  const commit = commitHash(said.commit);
  const details: PushDetails = commit === undefined ? {} : { commit };
  const expected =
    'Expected repository, tag and registryUrl in data, or REPOSITORY:TAG as the subject and the URL of the registry as the source.';
  return withDetails(readImage(image, expected), details);
}

/** A registry that is named goes before one in the repository's name, and that before one that the source happens to be. */
function nameAt(registry: string | undefined, source: string | undefined, name: string | undefined): string | undefined {
  if (!name) return undefined;
  const host = hostIn(registry);
  if (host !== undefined) return name.toLowerCase().startsWith(`${host.toLowerCase()}/`) ? name : `${host}/${name}`;
  const origin = hostIn(source);
  return origin === undefined || (name.includes('/') && hostIn(name) !== undefined) ? name : `${origin}/${name}`;
}

/** The host of a URL, or of what is one but for its scheme. */
function hostIn(written: string | undefined): string | undefined {
  if (!written) return undefined;
  const ofUrl = registryOfUrl(written);
  if (ofUrl !== undefined || written.includes('://')) return ofUrl;
  const slash = written.indexOf('/');
  const first = slash < 0 ? written : written.slice(0, slash);
  return first.length <= 255 && /^(?=localhost|.*[.:])[a-z0-9.-]+(?::\d+)?$/i.test(first) ? first : undefined;
}
