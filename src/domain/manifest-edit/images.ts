import { type Document, isMap, isScalar, isSeq } from 'yaml';
import { tryParseReference, writtenRepository } from '../image-reference.ts';
import type { ChangedFile } from '../plan.ts';
import { fieldsIn, type ImageSearch, placeOf, placesAmong, textAt, type YamlPart } from './image-fields.ts';
import { type ImagesOwner, placesOfEntries, placesOfNewEntry } from './kustomize-images.ts';
import { editRefused, type InRepository, listed, targetNotFound, type ValueLocation } from './location.ts';
import { aliasesOf, parseYaml } from './yaml-file.ts';

/**
 * Every place of a file that names an image, by what the file is: a kustomization, a HelmRelease, an Application of Argo CD, a manifest of
 * Kubernetes, or else values of Helm (and Compose, whose `image` reads the same). Each document of a file is told by itself.
 * @throws Refusal if there is none, or what is there cannot hold what `pin` demands
 */
export function findImages(text: string, change: ChangedFile, image: InRepository): ValueLocation[] {
  const { found, search, documents } = searchImages(text, change, image);
  if (found.length > 0) return found;
  const [owner, another] = documents.flatMap((document) => ownersOfImages(document, change.file));
  if (owner !== undefined && another === undefined) return placesOfNewEntry(owner, search);
  const named = `it names: ${listed([...search.named])}`;
  const advice = 'where a chart knows the rest, let the change name the place (path, with value: bare)';
  throw targetNotFound(change.file, `image of ${image.repository}`, `${named}; ${advice}`);
}

/** The same without a complaint where there is none. */
export function searchImages(text: string, change: ChangedFile, image: InRepository) {
  const search: ImageSearch = { text, change, image, named: new Set() };
  const documents = parseYaml(text, change.file);
  return { found: documents.flatMap((document) => placesIn(document, search)), search, documents };
}

function placesIn(document: Document.Parsed, search: ImageSearch): ValueLocation[] {
  const owners = ownersOfImages(document, search.change.file);
  if (owners.length > 0) return owners.flatMap((owner) => placesOfEntries(owner, search));
  const [kind, version] = kindOf(document);
  const aliases = aliasesOf(document);
  const part = (...path: readonly string[]): YamlPart => ({
    node: path.length === 0 ? document.contents : document.getIn(path, true),
    name: path.join('.'),
    aliases,
  });
  if (kind === '' || version === '') return placesInValues(part(), search);
  if (version.startsWith('helm.toolkit.fluxcd.io/')) return placesInValues(part('spec', 'values'), search);
  if (version.startsWith('argoproj.io/') && kind === 'Application') return placesInSources(part('spec'), search);
  if (version.startsWith('argoproj.io/') && kind === 'ApplicationSet')
    return placesInSources(part('spec', 'template', 'spec'), search);
  const isOfContainers = (key: string) => /^(?:c|initC|ephemeralC)ontainers$/.test(key);
  return placesAmong(fieldsIn(part(), isOfContainers), {}, search);
}

function kindOf(document: Document.Parsed): [kind: string, apiVersion: string] {
  return [textAt(document.get('kind', true)), textAt(document.get('apiVersion', true))];
}

/** The maps of a document that have Kustomize's list `images`, or could have it. */
function ownersOfImages(document: Document.Parsed, file: string): ImagesOwner[] {
  const [kind, version] = kindOf(document);
  const isNamedSo = /(?:^|\/)kustomization(?:\.ya?ml)?$/i.test(file) && kind === '';
  const isOwn = version.startsWith('kustomize.config.k8s.io/') || (kind === 'Kustomization' && version === '') || isNamedSo;
  const isFlux = version.startsWith('kustomize.toolkit.fluxcd.io/');
  const map = isOwn ? document.contents : isFlux ? document.get('spec', true) : undefined;
  return isMap(map) ? [{ map, prefix: isFlux ? 'spec.' : '' }] : [];
}

function placesInValues(values: YamlPart, search: ImageSearch): ValueLocation[] {
  const global = isMap(values.node) ? values.node.get('global', true) : undefined;
  const said = (...path: string[]) => textAt(isMap(global) ? global.getIn(path, true) : undefined);
  const registries = { first: said('imageRegistry'), last: said('registry') || said('image', 'registry') };
  return placesAmong(fieldsIn(values), registries, search);
}

/** What an Application says about its sources itself; the files that these have are not looked at. */
function placesInSources({ node, name, aliases }: YamlPart, search: ImageSearch): ValueLocation[] {
  if (!isMap(node)) return [];
  const several = node.get('sources', true);
  const sources = isSeq(several) ? several.items.map((item, index) => [item, `${name}.sources[${index}]`] as const) : [];
  return [[node.get('source', true), `${name}.source`] as const, ...sources].flatMap(([source, name]) => {
    if (!isMap(source)) return [];
    const part = (...path: string[]) => ({ node: source.getIn(path, true), name: [name, ...path].join('.'), aliases });
    return [
      ...placesInValues(part('helm', 'valuesObject'), search),
      ...placesInText(part('helm', 'values'), search),
      ...placesInParameters(part('helm', 'parameters'), search),
      ...placesOfWords(part('kustomize', 'images'), search),
    ];
  });
}

/** Values that stand in a block of text (|), which is YAML by itself. */
function placesInText({ node, name }: YamlPart, search: ImageSearch): ValueLocation[] {
  const token = isScalar(node) ? node.srcToken : undefined;
  if (token?.type !== 'block-scalar') return [];
  const from = search.text.indexOf('\n', token.offset) + 1;
  const documents = parseYaml(token.source, `${search.change.file}, ${name}`);
  return documents
    .flatMap((document) => placesInValues({ node: document.contents, name, aliases: aliasesOf(document) }, search))
    .map((place) => ({ ...place, start: from + place.start, end: from + place.end }));
}

/** `- name: web.image.tag` with its `value`: those with the same words before the last dot belong together. */
function placesInParameters({ node: list, name }: YamlPart, search: ImageSearch): ValueLocation[] {
  const parameters = (isSeq(list) ? list.items : []).flatMap((item) => {
    const [path, node] = isMap(item) ? [textAt(item.get('name', true)), item.get('value', true)] : ['', undefined];
    return path !== '' && isScalar(node) ? [{ path, node, group: path.replace(/\.?[^.]*$/, '') }] : [];
  });
  const groups = [...Map.groupBy(parameters, ({ group }) => group)].map(([group, members]) => {
    const fieldOf = ({ path, node }: (typeof members)[number]) => ({ name: `${name}[name=${path}]`, node, inherited: false });
    return new Map(members.map((member) => [member.path.slice(group.length).replace('.', '').toLowerCase(), fieldOf(member)]));
  });
  const said = (wanted: string) => textAt(parameters.find(({ path }) => path === wanted)?.node);
  const registries = { first: said('global.imageRegistry'), last: said('global.registry') || said('global.image.registry') };
  return placesAmong(groups, registries, search);
}

/** `name=repository:tag`, or `repository:tag`, as `kustomize edit set image` takes it. */
function placesOfWords({ node: list, name }: YamlPart, search: ImageSearch): ValueLocation[] {
  const { text, change, image } = search;
  return (isSeq(list) ? list.items : []).flatMap((node, index) => {
    const written = textAt(node);
    const reference = written.slice(written.indexOf('=') + 1);
    const repository = tryParseReference(reference)?.repository;
    if (repository !== undefined) search.named.add(repository);
    if (repository !== image.repository) return [];
    const label = `${name}[${index}]`;
    if (reference === written && change.pin === 'tag@digest') {
      const why = `${label} is '${written}', where kustomize takes a tag or a digest, not both; write ${writtenRepository(written)}=${written}`;
      throw editRefused(change.file, why);
    }
    const place = placeOf(node, label, change.file);
    const quote = /^["']/.test(text.slice(place.start, place.end)) ? 1 : 0;
    const start = place.start + quote + written.length - reference.length;
    return { ...place, start, end: place.end - quote, value: reference, holds: 'reference', write: (value: string) => value };
  });
}
