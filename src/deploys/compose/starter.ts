import { dirname, resolve } from 'node:path';
import semver from 'semver';
import { parse, YAMLParseError } from 'yaml';
import { tryParseReference } from '../../domain/image-reference.ts';
import type { StarterServices } from '../deploy.ts';

/** The images of Docker's own library are somebody else's releases: whoever wants to follow them says so. */
const library = 'docker.io/library/';

/** What could be followed of a compose file: for each service with an image of its own, an entry for landfall.yaml. */
export function servicesIn(text: string, file: string): StarterServices | { readonly problem: string } {
  const services = servicesOf(text);
  if (typeof services === 'string') return { problem: services };
  const directory = dirname(resolve(file));
  const entries: StarterServices['entries'][number][] = [];
  const leftOut: string[] = [];
  for (const [service, { image }] of Object.entries(services)) {
    const reference = image === undefined ? undefined : tryParseReference(image);
    if (reference === undefined)
      leftOut.push(
        `${service}: ${image === undefined ? 'it has no image, or is built there' : `'${image}' is no plain reference`}`,
      );
    else if (reference.repository.startsWith(library))
      leftOut.push(`${service}: ${image} is of Docker's own library: add it, if you want to follow its tags`);
    else {
      const { repository, tag = 'latest' } = reference;
      const deploy = { compose: { directory, services: [service] } };
      entries.push({ name: nameOf(service), image: repository, tags: tagsOf(tag), deploy });
    }
  }
  return { entries, leftOut };
}

function servicesOf(text: string): Readonly<Record<string, { readonly image: string | undefined }>> | string {
  let value: unknown;
  try {
    // `<<: *base`, as compose files have it: YAML 1.2 itself has no such key.
    value = parse(text, { merge: true });
  } catch (error) {
    if (error instanceof YAMLParseError) return `it is no YAML: ${error.message.split('\n', 1)[0]}`;
    throw error;
  }
  const services: unknown = value instanceof Object ? Reflect.get(value, 'services') : undefined;
  if (!(services instanceof Object)) return 'it has no services';
  return Object.fromEntries(
    Object.entries(services).map(([name, service]: [string, unknown]) => {
      const image: unknown =
        service instanceof Object && !Reflect.has(service, 'build') ? Reflect.get(service, 'image') : undefined;
      return [name, { image: typeof image === 'string' ? image : undefined }];
    }),
  );
}

/** A version is followed by the later ones of its major version; of `1.2.3-alpine` these would be 1.2.4, without Alpine. Anything else is a name that moves. */
function tagsOf(tag: string): StarterServices['entries'][number]['tags'] {
  return semver.valid(tag) === null || semver.prerelease(tag) !== null ? [tag] : { semver: `^${semver.clean(tag) ?? tag}` };
}

function nameOf(service: string): string {
  return service.toLowerCase().replace(/[^a-z0-9._-]+/g, '-');
}
