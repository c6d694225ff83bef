/** Where something is in a JSON document, by RFC 6901: the names and indices on the way to it. */
export type JsonPointer = readonly string[];

const longestPointer = 300;
/** No sender has fields of these names; asking for one would reach into JavaScript's own objects. */
const neverFields = ['__proto__', 'constructor', 'prototype'];

/** `/target/repository`, with `~1` for a slash and `~0` for a tilde in a name; the empty text is the whole document. Undefined for no pointer. */
export function parseJsonPointer(text: string): JsonPointer | undefined {
  if (text === '') return [];
  if (text.length > longestPointer || !/^(?:\/(?:[^~/]|~[01])*)+$/.test(text)) return undefined;
  const names = text
    .slice(1)
    .split('/')
    .map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'));
  return names.some((name) => neverFields.includes(name)) ? undefined : names;
}

/** The value at a pointer, by the document's own members alone; undefined if there is none. */
export function valueAt(document: unknown, pointer: JsonPointer): unknown {
  return pointer.reduce((value: unknown, name): unknown => {
    if (Array.isArray(value)) return /^(?:0|[1-9]\d{0,8})$/.test(name) ? value[Number(name)] : undefined;
    return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
  }, document);
}
