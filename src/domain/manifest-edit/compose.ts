import type { Document } from 'yaml';
import { editRefused, listed, targetNotFound, type ValueLocation } from './location.ts';
import { findValue, keysOf, parseYaml, type YamlLookup } from './yaml-file.ts';

/** `services.NAME.image` of each service of a Compose file. */
export function findInCompose(text: string, file: string, services: readonly string[]): ValueLocation[] {
  const documents = parseYaml(text, file);
  return services.map((service) => findImage(documents, file, service));
}

function findImage(documents: readonly Document.Parsed[], file: string, service: string): ValueLocation {
  const steps = ['services', service, 'image'].map((key) => ({ kind: 'key' as const, key }));
  const found = documents.map((document) => findValue(document, steps));
  const there = found.filter((one) => one.kind !== 'missing');
  if (there.length > 1) throw editRefused(file, `service '${service}' is there in ${there.length} documents, expected one`);
  const [one] = there;
  if (one?.kind === 'place') return one.place;
  if (one?.kind === 'refused') throw editRefused(file, one.why);
  const closest = found.filter((missing) => missing.kind === 'missing').sort((a, b) => b.depth - a.depth)[0];
  throw whatIsMissing(file, service, closest);
}

function whatIsMissing(file: string, service: string, missing: Extract<YamlLookup, { kind: 'missing' }> | undefined): Error {
  const there = listed(missing?.there ?? []);
  switch (missing?.depth) {
    case 2: {
      const keys = missing.map ? keysOf(missing.map) : [];
      if (keys.includes('build')) {
        return editRefused(
          file,
          `service '${service}' is built where it is deployed (build), it has no image to change; give it an image`,
        );
      }
      const extended = keys.includes('extends')
        ? ' of its own (it extends another service, so let the change name that one)'
        : '';
      return editRefused(file, `service '${service}' has no image${extended}; it has: ${there}`);
    }
    case 1:
      return targetNotFound(file, `service '${service}'`, `its services are: ${there}`);
    default:
      return targetNotFound(file, `service '${service}'`, `it has no services at all; its keys are: ${there}`);
  }
}
