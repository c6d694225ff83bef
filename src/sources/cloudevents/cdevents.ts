import { PackageURL } from 'packageurl-js';
import { z } from 'zod';
import { readHarborData } from '../harbor/event.ts';
import { splitReference } from '../kit/image.ts';
import { type EventReading, listOf, originIn, part, readImage, texts, withDetails } from '../kit/reading.ts';
import { type CloudEvent, typeOfCdEvent } from './envelope.ts';

/** `cd.` is what drafts before version 0.1 began with. */
const anyType = /^(?:dev\.cdevents|cd)\./i;
/** After the name comes the version of the event's schema. */
const published = /^(?:dev\.cdevents|cd)\.artifact\.published(?:\.|$)/i;

const dataSchema = part({
  subject: part({ ...texts('id'), content: part({ change: part(texts('id')), ...texts('user') }) }),
  customData: part({ resources: listOf(z.unknown()) }),
});

export function isCdEvent({ type, data }: CloudEvent): boolean {
  return anyType.test(typeOfCdEvent(data) ?? type);
}

/**
 * What a CDEvent says of an artifact that was published: its package URL is the id of the subject. Harbor names further resources of the
 * same push in `customData`.
 * @see https://github.com/cdevents/spec/blob/main/continuous-integration.md#artifact-published
 */
export function readCdEvent({ type, subject: envelopeSubject, data }: CloudEvent): readonly EventReading[] {
  if (!published.test(typeOfCdEvent(data) ?? type)) return [{ ignored: 'expected the event artifact.published' }];
  const { subject, customData } = dataSchema.parse(data) ?? {};
  const resources = readHarborData(customData).filter((reading) => 'image' in reading);
  const readings = resources.length > 0 ? resources : [readPurl(subject?.id ?? envelopeSubject)];
  const origin = originIn({ commit: subject?.content?.change?.id, actor: subject?.content?.user });
  return readings.map((reading) => withDetails(reading, origin));
}

const longestPurl = 4096;
const expected = 'Expected a package URL such as pkg:oci/app@sha256%3A...?repository_url=registry.example.org/team/app&tag=1.0.';

/**
 * The image that a package URL of the type oci (or docker, which older tools write) names.
 * @see https://github.com/package-url/purl-spec/blob/main/types-doc/oci-definition.md
 */
export function readPurl(written: string | undefined): EventReading {
  const purl = parsePurl(written);
  if (purl === undefined) return { malformed: expected };
  const { type, namespace, name, version } = purl;
  const { repository_url: url, tag } = purl.qualifiers ?? {};
  if (type === 'docker') {
    // The version is a tag or a digest; without `repository_url`, the registry is Docker Hub.
    const versioned = version?.includes(':') ? { tag, digest: version.toLowerCase() } : { tag: tag ?? version };
    return readImage({ name: nameAt(url ?? 'docker.io', namespace ? `${namespace}/${name}` : name), ...versioned }, expected);
  }
  if (type !== 'oci') return { ignored: 'the package is not a container image' };
  if (tag === undefined) return { ignored: 'no tag was pushed' };
  // Registry and path stand there alone; without it nobody knows where the image is.
  if (url === undefined) return { ignored: 'the package URL has no repository_url, so its registry is unknown' };
  return readImage({ name: nameAt(url, name), tag, digest: version?.toLowerCase() }, expected);
}

function parsePurl(written: string | undefined): PackageURL | undefined {
  if (written === undefined || written.length > longestPurl) return undefined;
  try {
    return PackageURL.fromString(written);
  } catch {
    // It throws plain errors of several kinds, each about its input.
    return undefined;
  }
}

/**
 * The specification's examples have the whole repository in `repository_url`, tools also leave its name out, and Harbor adds tag and digest.
 * @param name the repository's last segment, or all of its path
 */
function nameAt(url: string, name: string): string {
  const bare = url.slice(url.includes('://') ? url.indexOf('://') + '://'.length : 0);
  // Without a path, a colon begins the port.
  const whole = bare.includes('/') ? (splitReference(bare).name ?? '') : bare;
  const [host = '', ...path] = whole.split('/').filter((segment) => segment !== '');
  const hasName = `/${path.join('/')}`.toLowerCase().endsWith(`/${name.toLowerCase()}`);
  return [host, ...path, ...(hasName ? [] : [name])].join('/');
}
