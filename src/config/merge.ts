import type { Kinds } from './kinds.ts';
import type { DefaultsInput } from './service-schema.ts';

type Json = Readonly<Record<string, unknown>>;

/** Keys by the path to their map, `deploy.compose`. */
type Alternatives = Readonly<Record<string, readonly string[]>>;

/** In the map at a path: of these keys it has one at most, so a nearer level that names one displaces what a farther one chose. */
const ownAlternatives: Alternatives = {
  change: ['services', 'path', 'marker', 'key'],
  'watch.http.version': ['header', 'json'],
};

/** A tag policy is one value: two of them have no sensible mixture. */
const wholeValues: readonly string[] = ['tags'] satisfies (keyof DefaultsInput)[];

/**
 * DefaultsInput of a farther level (defaults, service) under those of a nearer one (service, stage): maps merge, everything else, lists
 * included, is replaced. What is undefined counts as absent. Neither argument is changed.
 */
export function mergeSettings<Far extends object, Near extends object>(far: Far, near: Near, kinds: Kinds): Far & Near {
  // What merges is what the same schema made of both, so the result has the type of both.
  return mergeMaps(far as Json, near as Json, alternativesOf(kinds), []) as unknown as Far & Near;
}

function alternativesOf({ checks, deploys }: Kinds): Alternatives {
  const ofKinds = [
    ...checks.map(({ kind, alternatives = {} }) => ({ at: kind, alternatives })),
    ...deploys.map(({ kind, alternatives = {} }) => ({ at: `deploy.${kind}`, alternatives })),
  ].flatMap(({ at, alternatives }) =>
    Object.entries(alternatives).map(([path, keys]) => [path === '' ? at : `${at}.${path}`, keys]),
  );
  return { ...ownAlternatives, deploy: deploys.map(({ kind }) => kind), ...Object.fromEntries(ofKinds) };
}

function mergeMaps(far: Json, near: Json, alternatives: Alternatives, path: readonly string[]): Json {
  const group = alternatives[path.join('.')] ?? [];
  const displaced = group.some((key) => Object.hasOwn(near, key)) ? group : [];
  const kept = Object.entries(far).filter(
    ([key, value]) => value !== undefined && (!displaced.includes(key) || Object.hasOwn(near, key)),
  );
  const merged = new Map<string, unknown>(kept);
  for (const [key, value] of Object.entries(near)) {
    const under = merged.get(key);
    const inner = [...path, key];
    merged.set(
      key,
      !wholeValues.includes(inner.join('.')) && isMap(under) && isMap(value)
        ? mergeMaps(under, value, alternatives, inner)
        : value,
    );
  }
  return Object.fromEntries(merged);
}

function isMap(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
