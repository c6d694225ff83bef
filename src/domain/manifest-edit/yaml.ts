import type { Document } from 'yaml';
import type { Refusal } from '../failures.ts';
import type { ChangedFile, ChangeTarget } from '../plan.ts';
import { searchImages } from './images.ts';
import { editRefused, type InRepository, listed, targetNotFound, type ValueLocation } from './location.ts';
import { findValue, keysOf, type MissingValue, parseYaml, type YamlStep } from './yaml-file.ts';

const stepPattern = /\["([^"]+)"\]|\[(\d{1,6})\]|\[([^\]="]+)=(?:"([^"]*)"|([^\]"]*))\]|(?:^|\.)([^.[\]"]+)/y;

/**
 * `spec.containers[0].image`, `spec.containers[name=web].image`, `metadata.labels["app.kubernetes.io/version"]`.
 * @returns undefined for what is no path
 */
function parseYamlPath(path: string): readonly YamlStep[] | undefined {
  const steps: YamlStep[] = [];
  stepPattern.lastIndex = 0;
  while (stepPattern.lastIndex < path.length) {
    const found = stepPattern.exec(path);
    if (!found) return undefined;
    const [, quoted, index, whereKey, quotedValue, value, plain] = found;
    if (index !== undefined) steps.push({ kind: 'index', index: Number(index) });
    else if (whereKey !== undefined) steps.push({ kind: 'where', key: whereKey, value: quotedValue ?? value ?? '' });
    else steps.push({ kind: 'key', key: quoted ?? plain ?? '' });
  }
  return steps.length === 0 ? undefined : steps;
}

/** What is wrong with a path, for the author of the configuration; undefined if nothing is. */
export function problemOfPath(path: string): string | undefined {
  if (parseYamlPath(path) !== undefined) return undefined;
  return `expected a path such as spec.template.spec.containers[name=web].image, found '${path}'`;
}

/** The one value that each path leads to, in whichever document of the file. */
export function findByPath(text: string, file: string, paths: readonly string[]): ValueLocation[] {
  const documents = parseYaml(text, file);
  const places = paths.map((path) => {
    const steps = parseYamlPath(path);
    if (steps === undefined) throw editRefused(file, `${problemOfPath(path)}; correct the change of the service`);
    const missing = ({ there }: MissingValue) => targetNotFound(file, path, `where the path ends, it has: ${listed(there)}`);
    const hint = "; mark the line with a comment '# landfall: NAME' and let the change name that";
    return findIn(documents, file, steps, path, missing, hint);
  });
  // Two ways to write the same path.
  return [...new Map(places.map((place) => [place.start, place])).values()];
}

/** `services.NAME.image` of each service of a Compose file. */
export function findInCompose(
  text: string,
  change: ChangedFile,
  { services, orByImage }: Extract<ChangeTarget, { kind: 'compose' }>,
  image: InRepository,
): ValueLocation[] {
  const { file } = change;
  const documents = parseYaml(text, file);
  const isThere = (service: string) =>
    documents.some((document) => findValue(document, keySteps('services', service)).kind !== 'missing');
  const byImage = orByImage && !services.some(isThere) ? findOnlyUser(text, change, image) : [];
  if (byImage.length > 0) return byImage;
  return [...new Set(services)].map((service) => {
    const steps = keySteps('services', service, 'image');
    return findIn(documents, file, steps, `service '${service}'`, (missing) => missingImage(file, service, missing));
  });
}

function keySteps(...keys: readonly string[]): YamlStep[] {
  return keys.map((key) => ({ kind: 'key', key }));
}

/** Where the image stands, if that is one place; none if it is nowhere. @throws Refusal if it stands in several */
function findOnlyUser(text: string, change: ChangedFile, image: InRepository): ValueLocation[] {
  const { found } = searchImages(text, change, image);
  if (found.length < 2) return found;
  const places = listed(found.map(({ name }) => name));
  throw editRefused(change.file, `several use ${image.repository}: ${places}; let change.services name those that are meant`);
}

function missingImage(file: string, service: string, { depth, there, map }: MissingValue): Refusal {
  const names = listed(there);
  if (depth === 0) return targetNotFound(file, `service '${service}'`, `it has no services at all; its keys are: ${names}`);
  if (depth === 1) {
    const advice = 'let change.services name the one that is meant';
    return targetNotFound(file, `service '${service}'`, `its services are: ${names}; ${advice}`);
  }
  const keys = map === undefined ? [] : keysOf(map);
  if (keys.includes('build')) {
    return editRefused(
      file,
      `service '${service}' is built where it is deployed (build), it has no image to change; give it an image`,
    );
  }
  const extended = keys.includes('extends') ? ' of its own (it extends another service, so let the change name that one)' : '';
  return editRefused(file, `service '${service}' has no image${extended}; it has: ${names}`);
}

/** @param ifSeveral what to do if several documents of the file have it */
function findIn(
  documents: readonly Document.Parsed[],
  file: string,
  steps: readonly YamlStep[],
  name: string,
  refuseMissing: (closest: MissingValue) => Refusal,
  ifSeveral = '',
): ValueLocation {
  const found = documents.map((document) => findValue(document, steps));
  const there = found.filter((one) => one.kind !== 'missing');
  if (there.length > 1) throw editRefused(file, `${name} is there in ${there.length} documents, expected one${ifSeveral}`);
  const [one] = there;
  if (one?.kind === 'place') return one.place;
  if (one?.kind === 'refused') throw editRefused(file, one.why);
  const [closest] = found.filter((each) => each.kind === 'missing').sort((a, b) => b.depth - a.depth);
  throw refuseMissing(closest ?? { kind: 'missing', depth: 0, there: [] });
}
