import { z } from 'zod';
import { type Definition, filesOf, type ResourceKind, resourceKinds, type ServiceDefinition, usedBy } from './definition.ts';

type Values = Readonly<Record<string, unknown>>;

/** Keys that do not change how a container runs, and the image, which the deploy changes on purpose. */
const withoutEffect = new Set(['image', 'build', 'pull_policy', 'profiles', 'depends_on', 'develop']);
/** Keys whose values are no secrets, so that they can be shown. */
const harmless = new Set([
  'restart',
  'network_mode',
  'pid',
  'ipc',
  'user',
  'privileged',
  'read_only',
  'scale',
  'stop_grace_period',
  'tty',
]);
/** Lists whose items are shown one by one. */
const shownItems = new Set(['ports', 'volumes', 'configs', 'secrets']);
const longestValue = 60;
const singular: Readonly<Record<ResourceKind, string>> = {
  networks: 'network',
  volumes: 'volume',
  configs: 'config',
  secrets: 'secret',
};

/** A change of one key. */
export interface DefinitionChange {
  /** `web: environment.DB_URL changed`: names keys, and no values but harmless ones. */
  readonly text: string;
  /** For fingerprints only: may be a secret. */
  readonly values: readonly [unknown, unknown];
}

/**
 * What would change for services besides their images, including what they use.
 * @param services those that run now and are deployed: a new service changes nothing
 */
export function changesBetween(ran: Definition, next: Definition, services: readonly string[]): DefinitionChange[] {
  const changes: DefinitionChange[] = [];
  const uses = new Set<string>();
  for (const name of services) {
    const [before, after] = [ran.services?.[name], next.services?.[name]];
    if (before === undefined || after === undefined) continue;
    changes.push(...changesOf(name, before, after, withoutEffect));
    for (const kind of resourceKinds) {
      for (const used of usedBy(after)[kind]) {
        const [old, now] = [ran[kind]?.[used], next[kind]?.[used]];
        // A newly used one is already named with the service that uses it.
        if (uses.has(`${kind}/${used}`) || old === undefined || now === undefined) continue;
        uses.add(`${kind}/${used}`);
        changes.push(...changesOf(`${singular[kind]} ${used}`, old ?? {}, now ?? {}, new Set()));
      }
    }
  }
  return changes;
}

/** Files of the repository that change and that services see: what is mounted is not part of a definition. */
export function changedMounts(
  next: Definition,
  services: readonly string[],
  changedFiles: readonly string[],
): DefinitionChange[] {
  return services.flatMap((name) => {
    const one = next.services?.[name];
    const seen = one === undefined ? [] : filesOf(next, one);
    const files = changedFiles.filter((file) => seen.some((path) => file === path || file.startsWith(`${path}/`)));
    return files.map(
      (file): DefinitionChange => ({ text: `${name}: the mounted file ${file} changed`, values: [undefined, file] }),
    );
  });
}

function changesOf(
  where: string,
  before: ServiceDefinition | Values,
  after: ServiceDefinition | Values,
  ignored: ReadonlySet<string>,
): DefinitionChange[] {
  return keysOf(before, after).flatMap((key) => {
    if (ignored.has(key) || key.startsWith('x-')) return [];
    const [old, now] = [before[key], after[key]];
    if (same(old, now)) return [];
    if (isMap(old) && isMap(now)) {
      return keysOf(old, now).flatMap((inner) =>
        sameEntry(old[inner], now[inner]) ? [] : [change(`${where}: ${key}.${inner}`, inner, old[inner], now[inner])],
      );
    }
    if (shownItems.has(key)) return itemChanges(where, key, old, now);
    return [change(`${where}: ${key}`, key, old, now)];
  });
}

/** Ports, mounts and the like: which were added, and which removed. */
function itemChanges(where: string, key: string, old: unknown, now: unknown): DefinitionChange[] {
  const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
  const lacks = (items: readonly unknown[], one: unknown) => !items.some((item) => same(item, one));
  const told = (one: unknown, what: string, values: DefinitionChange['values']): DefinitionChange => ({
    text: `${where}: ${key} ${shownItem(key, one)} ${what}`,
    values,
  });
  return [
    ...list(old)
      .filter((one) => lacks(list(now), one))
      .map((one) => told(one, 'removed', [one, undefined])),
    ...list(now)
      .filter((one) => lacks(list(old), one))
      .map((one) => told(one, 'added', [undefined, one])),
  ];
}

const port = z.looseObject({
  host_ip: z.string().optional(),
  published: z.union([z.string(), z.number()]).optional(),
  target: z.number(),
});
const mount = z.looseObject({ source: z.string().optional(), target: z.string().optional() });

/** `127.0.0.1:8080->80`, `data->/data` */
function shownItem(key: string, item: unknown): string {
  if (key === 'ports') {
    const { host_ip: ip, published, target } = port.parse(item);
    return `${ip === undefined ? '' : `${ip}:`}${published ?? 'any'}->${target}`;
  }
  const { source = 'anonymous', target } = mount.parse(item);
  return target === undefined ? source : `${source}->${target}`;
}

function change(name: string, key: string, old: unknown, now: unknown): DefinitionChange {
  const how =
    old === undefined
      ? 'added'
      : now === undefined
        ? 'removed'
        : isNothing(old)
          ? 'added'
          : isNothing(now)
            ? 'removed'
            : 'changed';
  const value = harmless.has(key) && how === 'changed' ? ` from ${shown(old)} to ${shown(now)}` : '';
  return { text: `${name} ${how}${value}`, values: [old, now] };
}

function shown(value: unknown): string {
  return JSON.stringify(value).slice(0, longestValue);
}

function keysOf(one: Values, other: Values): string[] {
  return [...new Set([...Object.keys(one), ...Object.keys(other)])].sort();
}

function isMap(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Compose prints some empty values and omits others. */
function isNothing(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (Array.isArray(value)) return value.length === 0;
  // A key with null is there: `networks: {backend: null}`.
  return isMap(value) && Object.values(value).every((inner) => inner !== null && isNothing(inner));
}

/** One that is there without settings is not the same as none. */
function sameEntry(one: unknown, other: unknown): boolean {
  const isOnlyInOne = (one === undefined) !== (other === undefined);
  return isOnlyInOne && (one === null || other === null) ? false : same(one, other);
}

function same(one: unknown, other: unknown): boolean {
  return (isNothing(one) && isNothing(other)) || canonical(one) === canonical(other);
}

/** JSON with sorted keys. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    isMap(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );
}
