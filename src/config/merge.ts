import type { Settings } from './service-schema.ts';

type Json = Readonly<Record<string, unknown>>;

/** Of these keys a map has one at most, so a nearer level that names one displaces what a farther level chose. */
const alternatives = [
  ['services', 'path', 'marker', 'key'],
  ['http', 'tcp', 'exec'],
] as const;

/** A tag policy is one value: two of them have no sensible mixture. */
const wholeValues: readonly string[] = ['tags'] satisfies (keyof Settings)[];

/**
 * Settings of a farther level (defaults, service) under those of a nearer one (service, stage): maps merge, everything else, lists
 * included, is replaced. Neither argument is changed.
 */
export function mergeSettings<Far extends object, Near extends object>(far: Far, near: Near): Far & Near {
  // What merges is what the same schema made of both, so the result has the type of both.
  return mergeMaps(far as Json, near as Json) as unknown as Far & Near;
}

function mergeMaps(far: Json, near: Json): Json {
  const displaced: readonly string[] = alternatives.filter((group) => group.some((key) => Object.hasOwn(near, key))).flat();
  const kept = Object.entries(far).filter(([key]) => !displaced.includes(key) || Object.hasOwn(near, key));
  const merged = new Map<string, unknown>(kept);
  for (const [key, value] of Object.entries(near)) {
    const under = merged.get(key);
    merged.set(key, !wholeValues.includes(key) && isMap(under) && isMap(value) ? mergeMaps(under, value) : value);
  }
  return Object.fromEntries(merged);
}

function isMap(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
