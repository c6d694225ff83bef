import { createHmac } from 'node:crypto';
import { relative } from 'node:path';
import { z } from 'zod';
import { Refusal } from '../../domain/failures.ts';
import { toldChanges } from '../../domain/other-changes.ts';
import type { OtherChanges } from '../../domain/outcomes.ts';
import { refused } from '../kit/refusals.ts';
import { type CheckoutUpdate, commitsSince, filesChangedSince } from './checkout.ts';
import type { ComposeContext, StoredDefinition } from './context.ts';
import { type Definition, filesOf, resourceKinds, usedBy } from './definition.ts';

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
const longestChange = 200;
const mostChanges = 20;

/** A change of one key. */
export interface DefinitionChange {
  /** `web: environment.DB_URL changed`: names keys, and no values but harmless ones. */
  readonly text: string;
  /** For fingerprints only: may be a secret. */
  readonly values: readonly [unknown, unknown];
}

/** What a deploy changes besides the image, and who brought it; undefined if nothing ran, or nothing else changes. */
export async function othersOf(
  { files }: ComposeContext,
  ran: StoredDefinition | undefined,
  next: Definition,
  update: CheckoutUpdate | undefined,
): Promise<OtherChanges | undefined> {
  if (ran === undefined) return undefined;
  const { containers, commit = update?.head, exact } = ran['x-landfall'];
  const services = Object.keys(containers);
  const changedFiles = await filesChangedSince(update, commit);
  // Somebody started it from other files, or changed the files since without an `up`.
  const isUnknown = 'what runs was made from another definition than the files here, so more than is named may change';
  const changes: DefinitionChange[] = [
    ...(exact ? [] : services.map((name) => ({ text: `${name}: ${isUnknown}`, values: [undefined, undefined] as const }))),
    ...changesBetween(ran, next, services),
    ...changedMounts(next, services, changedFiles, update?.root),
  ];
  if (changes.length === 0) return undefined;
  const mounted = changedFiles.filter((file) => changes.some(({ values }) => values[1] === file));
  const hmac = createHmac('sha256', await files.secret()).update(canonical(changes));
  return {
    changes: changes.slice(0, mostChanges).map(({ text }) => text.slice(0, longestChange)),
    ...(changes.length > mostChanges && { more: changes.length - mostChanges }),
    commits: await commitsSince(update, commit, mounted),
    fingerprint: hmac.digest('hex').slice(0, 32),
  };
}

/**
 * Has a person decide where the stage says so. @param accepted fingerprint of the changes that a person has said yes to
 * @throws Refusal `OtherChanges`, `DeployRefused`; both with the changes
 */
export function requireAccepted({ target }: ComposeContext, others?: OtherChanges, accepted?: string): void {
  const { deploy, stage } = target;
  if (others === undefined || others.fingerprint === accepted || deploy.others === 'apply') return;
  const told = `expected the deploy of ${deploy.services.join(', ')} in ${stage.name} to change nothing but the image, but it would bring along: ${toldChanges(others)}`;
  if (deploy.others === 'refuse') {
    throw refused(
      `${told}; deploy.compose.others is 'refuse': undo that in the repository, or deploy it by hand, then retry`,
      undefined,
      [others],
    );
  }
  throw new Refusal(
    'OtherChanges',
    `${told}; 'skip' with a reason has it brought along, 'retry' looks again once the repository is mended`,
    [others],
  );
}

/** What would change for services that run now besides their images, including what they use. A new service changes nothing. */
export function changesBetween(ran: Definition, next: Definition, services: readonly string[]): DefinitionChange[] {
  const changes: DefinitionChange[] = [];
  const uses = new Set<string>();
  for (const name of services) {
    const [before, after] = [ran.services?.[name], next.services?.[name]];
    if (before === undefined || after === undefined) continue;
    changes.push(...changesOf(name, before, after));
    for (const kind of resourceKinds) {
      for (const used of usedBy(after)[kind]) {
        const [old, now] = [ran[kind]?.[used], next[kind]?.[used]];
        // A newly used one is already named with the service that uses it.
        if (uses.has(`${kind}/${used}`) || old === undefined || now === undefined) continue;
        uses.add(`${kind}/${used}`);
        changes.push(...changesOf(`${kind.slice(0, -1)} ${used}`, old ?? {}, now ?? {}));
      }
    }
  }
  return changes;
}

/** Files of the repository that change and that services see: what is mounted is not part of a definition. */
function changedMounts(
  next: Definition,
  services: readonly string[],
  changedFiles: readonly string[],
  root = '/',
): DefinitionChange[] {
  return services.flatMap((name) => {
    const one = next.services?.[name];
    const seen = one === undefined ? [] : filesOf(next, one);
    return changedFiles
      .filter((file) => seen.some((path) => file === path || file.startsWith(`${path}/`)))
      .map((file) => ({ text: `${name}: the mounted file ${relative(root, file)} changed`, values: [undefined, file] }));
  });
}

function changesOf(where: string, before: Values, after: Values): DefinitionChange[] {
  return keysOf(before, after).flatMap((key) => {
    if (withoutEffect.has(key) || key.startsWith('x-')) return [];
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
  const onlyIn = (one: unknown, other: unknown) => list(one).filter((item) => !list(other).some((each) => same(each, item)));
  const text = (item: unknown, what: string) => `${where}: ${key} ${shownItem(key, item)} ${what}`;
  return [
    ...onlyIn(old, now).map((item): DefinitionChange => ({ text: text(item, 'removed'), values: [item, undefined] })),
    ...onlyIn(now, old).map((item): DefinitionChange => ({ text: text(item, 'added'), values: [undefined, item] })),
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
  const isAdded = old === undefined || (now !== undefined && isNothing(old));
  const isRemoved = now === undefined || isNothing(now);
  const how = isAdded ? 'added' : isRemoved ? 'removed' : 'changed';
  const shown = (value: unknown) => JSON.stringify(value).slice(0, longestValue);
  const value = harmless.has(key) && how === 'changed' ? ` from ${shown(old)} to ${shown(now)}` : '';
  return { text: `${name} ${how}${value}`, values: [old, now] };
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
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    isMap(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );
}
