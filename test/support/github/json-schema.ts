/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json };

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Keywords under which a schema holds schemas by name. */
const namedSchemas = new Set(['properties', 'patternProperties']);
/** Keywords whose value is data, never a schema. */
const plainValues = new Set(['enum', 'const', 'default', 'required']);
/** Keywords of OpenAPI that say nothing about which values are valid. */
const ignored = new Set([
  'example',
  'examples',
  'description',
  'title',
  'discriminator',
  'externalDocs',
  'deprecated',
  'nullable',
]);

/**
 * A schema of OpenAPI 3.0 as JSON Schema: `nullable` becomes a choice with null, references to `#/components/schemas/NAME` become
 * `github:NAME`, and annotations are dropped.
 */
export function toJsonSchema(schema: Json): Json {
  if (Array.isArray(schema)) return schema.map(toJsonSchema);
  if (!isJsonObject(schema)) return schema;
  const converted = Object.fromEntries(
    Object.entries(schema)
      .filter(([keyword]) => !ignored.has(keyword) && !keyword.startsWith('x-'))
      .map(([keyword, value]) => [keyword, convert(keyword, value)]),
  );
  return schema.nullable === true ? { anyOf: [{ type: 'null' }, converted] } : converted;
}

function convert(keyword: string, value: Json): Json {
  if (keyword === '$ref' && typeof value === 'string') return `github:${value.slice('#/components/schemas/'.length)}`;
  if (plainValues.has(keyword)) return value;
  if (namedSchemas.has(keyword) && isJsonObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([name, schema]) => [name, toJsonSchema(schema)]));
  }
  return toJsonSchema(value);
}

/** The names of the components that a converted schema refers to. */
export function referencesOf(schema: Json): string[] {
  if (Array.isArray(schema)) return schema.flatMap(referencesOf);
  if (!isJsonObject(schema)) return [];
  return Object.entries(schema).flatMap(([keyword, value]) =>
    keyword === '$ref' && typeof value === 'string' ? [value.slice('github:'.length)] : referencesOf(value),
  );
}
