import { z } from 'zod';
import type { Tag } from '../domain/image-reference.ts';
import type { CheckPlan, Plan, StagePlan } from '../domain/plan.ts';
import { followedApart, problemOf, type TagPolicy } from '../domain/tag-policy.ts';
import type { ImagePattern } from '../settings/image-pattern.ts';
import { type Complain, type Complaint, type Path, within } from '../settings/problem.ts';
import {
  duration,
  imagePattern,
  platform,
  type SecretCheck,
  serviceName,
  size,
  stageName,
  tag,
  text,
} from '../settings/scalars.ts';
import { byKey, expecting, map, optional, orWord, refusing, showValue } from '../settings/wording.ts';
import { isPerPush } from './change.ts';
import { type FileContext, type Kinds, saidOf } from './kinds.ts';
import { shortenedName } from './names.ts';
import { resolveStage, type StageInput, stageSettings } from './stage.ts';

/** What `defaults` and a service may say, and what comes of it. Everything is optional, because each may come from a level above. */

const tagPolicy = z
  .union(
    [
      z.array(tag).min(1).describe('These very tags.'),
      map(
        { semver: text('a semver range such as ">=1.2 <2"') },
        "Semantic versions within a range, in npm's grammar; the greater one is the later one.",
      ),
      map(
        {
          pattern: text('a regular expression'),
          order: z
            .enum(['alphabetical', 'numerical', 'newest', 'none'])
            .describe(
              'How the first group (else the whole tag) is compared; newest: by the creation time of the image; none: not at all, each tag is a service of its own, NAME@TAG.',
            ),
        },
        'A regular expression over the whole tag, and which of two tags is the later one.',
      ),
    ],
    expecting('a list of tags, {semver} or {pattern, order}'),
  )
  .transform((value): TagPolicy => {
    if (Array.isArray(value)) return { kind: 'exact', tags: value };
    return 'semver' in value ? { kind: 'semver', range: value.semver } : { kind: 'pattern', ...value };
  })
  .superRefine(refusing(problemOf));

function serviceSettings(check: SecretCheck, kinds: Kinds) {
  const stage = stageSettings(kinds);
  return {
    tags: optional(tagPolicy, 'Which tags are followed. Default: [latest].'),
    platforms: optional(
      z.array(platform),
      'Platforms that the image must have, and the only ones that are scanned and may run. Default: whatever it has.',
    ),
    verify: optional(
      map(
        { maxSize: optional(size, 'Most that its layers may have, compressed. Default: 10g.') },
        'What an image may be at all.',
      ),
      'What an image may be at all.',
    ),
    ...byKey(kinds.checks.map(({ kind, schema, keys }) => [kind, orWord('off', schema(check), keys)])),
    ...stage,
    decideWithin: optional(
      duration,
      'How long a blocked step waits for a decision before the rollout ends expired. Default: 24h.',
    ),
    stages: optional(
      z.array(map({ name: stageName, ...stage }, 'One environment.')).min(1),
      'Environments, in order. Without it: one, named production, from the same keys on the service.',
    ),
  };
}

export function defaultsSchema(check: SecretCheck, kinds: Kinds) {
  return map(serviceSettings(check, kinds), 'What holds for every service: maps merge into each service, lists replace.');
}

export function serviceSchema(check: SecretCheck, kinds: Kinds) {
  return map(
    {
      name: optional(serviceName, 'Default: the last path segment of the image. For a pattern, * stands for that segment.'),
      image: imagePattern.describe('A repository, or a pattern such as ghcr.io/team/* for one service per repository.'),
      ...serviceSettings(check, kinds),
    },
    'Which image is followed, and what happens to a push.',
  );
}

type DefaultsInput = z.output<ReturnType<typeof defaultsSchema>>;
type ServiceInput = z.output<ReturnType<typeof serviceSchema>>;

/** One entry of `services`, merged with the defaults: a plan but for what the pushed repository adds, and with `{service}` and `{stage}` in texts. */
export interface ServiceSettings extends Omit<Plan, 'service' | 'repository' | 'notify'> {
  readonly image: ImagePattern;
  /** The service's name; with `*` for a pattern. */
  readonly name: string;
}

const day = 86_400_000;
const latest = 'latest' as Tag;
const onlyStage: StageInput = { name: 'production' };

/** A service with its defaults, and what is wrong with it: complaints have paths from the service on. */
export function resolveService(
  input: ServiceInput,
  { stages: sharedStages = [onlyStage], ...shared }: DefaultsInput,
  context: FileContext,
): { service: ServiceSettings; complaints: Complaint[] } {
  const complaints: Complaint[] = [];
  const complain: Complain = (path, message) => void complaints.push({ path, message });
  const { kinds } = context;
  const { image, name: _name, stages: listed = sharedStages, ...own } = input;
  const settings = mergeSettings(shared, own, kinds);
  const { tags = { kind: 'exact', tags: [latest] }, platforms = [], decideWithin = day, verify, ...forStages } = settings;
  const ofStages = Object.entries(forStages).filter(([key]) => !kinds.checks.some(({ kind }) => kind === key));
  const merged = listed.map((stage) => mergeSettings(Object.fromEntries(ofStages), stage, kinds));
  const forwards = merged.some(isForwarding);
  if (forwards) forwardingComplaints(input, listed, kinds, complain);
  // Stages that the service did not write itself have no place of their own in the file.
  const inStage = (index: number) => (input.stages === undefined ? complain : within(complain, 'stages', index));
  const service: ServiceSettings = {
    image,
    name: nameOf(input, complain),
    tags,
    platforms: forwards ? [] : platforms,
    ...(!forwards && verify?.maxSize !== undefined && { mostImageBytes: verify.maxSize }),
    checks: forwards ? [] : checksOf(settings, kinds, complain),
    stages: merged.map(({ name, dispatch, ...rest }, index) => {
      // Of a stage that forwards, nothing is left but the dispatch.
      const stage = { name, ...(dispatch !== undefined && { dispatch }), ...(!forwards && rest) };
      const resolved = resolveStage(stage, context, inStage(index));
      unnamedRepositoryComplaint(image.text, resolved, inStage(index));
      return resolved;
    }),
    decideWithinMs: decideWithin,
  };
  if (followedApart(tags) && service.stages.some(({ change }) => change !== undefined))
    complain(['tags'], 'expected no change beside order: none: each tag would write its image to the same place');
  for (const [index, { name }] of listed.entries())
    if (listed.findIndex((stage) => stage.name === name) < index)
      inStage(index)(['name'], 'expected a name that no other stage of this service has');
  return { service, complaints };
}

/** What an image has to pass before any stage. */
function checksOf(settings: DefaultsInput, { checks }: Kinds, complain: Complain): CheckPlan[] {
  const wanted = checks.flatMap((check) => {
    const input = saidOf(settings, check.kind) ?? (check.byDefault ? {} : 'off');
    return input === 'off' ? [] : [{ ...check, input }];
  });
  const first = wanted.filter(({ last }) => !last).map(({ kind }) => kind);
  return wanted.map(({ kind, title, last, needsDocker, input, resolve }) => {
    const resolved = resolve(input, within(complain, kind));
    return { kind, title, after: last ? first : [], needsDocker, ...resolved };
  });
}

function nameOf({ image, name }: ServiceInput, complain: Complain): string {
  const isPattern = image.repository === undefined;
  if (name === undefined) return isPattern ? '*' : shortenedName(image.text.slice(image.text.lastIndexOf('/') + 1));
  if (isPattern && !name.includes('*'))
    complain(['name'], `expected a name with *, such as ${name}-*, because the pattern ${image.text} gives many services`);
  if (!isPattern && name.includes('*')) complain(['name'], 'expected a name without *: the image is one repository');
  return name;
}

/** Whether a stage, merged with all that holds for it, has whole pushes passed on in place of rollouts. */
function isForwarding({ dispatch }: StageInput): boolean {
  return dispatch !== undefined && dispatch !== 'off' && isPerPush(dispatch);
}

/** What only rollouts have. Of the defaults it is left out; beside the dispatch itself somebody expects something of it. */
function wordsOfRollouts({ checks }: Kinds): string[] {
  const inStages = ['change', 'approval', 'windows', 'merge', 'mergeMethod', 'deploy', 'watch', 'rollback'];
  return ['platforms', 'verify', ...checks.map(({ kind }) => kind), ...inStages, 'decideWithin'];
}

/** What a service may not say whose pushes are passed on: it has one stage, and nothing is done in it but the dispatch. */
function forwardingComplaints(input: ServiceInput, stages: readonly StageInput[], kinds: Kinds, complain: Complain): void {
  const remedy = (what: string) =>
    `such a push is passed on at once, without any other step; leave ${what} out, or say per: tag in dispatch`;
  if (stages.length > 1) {
    const path = input.stages === undefined ? ['dispatch'] : ['stages'];
    complain(path, `expected one stage beside a dispatch per push, found ${stages.length}: ${remedy('the others')}`);
  }
  const inStages = (input.stages ?? []).map((said, index): [Path, object] => [['stages', index], said]);
  for (const [at, said] of [[[], input] as const, ...inStages])
    for (const key of wordsOfRollouts(kinds).filter((word) => asksForSomething(saidOf(said, word))))
      complain([...at, key], `expected no ${key} beside a dispatch per push, found one: ${remedy('it')}`);
}

function asksForSomething(value: unknown): boolean {
  return value !== undefined && value !== 'off' && value !== 'none' && !(Array.isArray(value) && value.length === 0);
}

/** A dispatch goes to the repository that is named like the image, unless it names one. */
function unnamedRepositoryComplaint(image: string, { dispatch }: StagePlan, complain: Complain): void {
  if (dispatch === undefined || dispatch.repository !== undefined || image.split('/').length === 3) return;
  complain(
    ['dispatch', 'repository'],
    `expected a GitHub repository as owner/name, found nothing, and ${showValue(image)} does not name one after its registry`,
  );
}

type Json = Readonly<Record<string, unknown>>;

/** Groups of keys by the path to their map, `deploy.compose`: it has one of a group at most, so a nearer level displaces what a farther one chose. */
type Alternatives = Readonly<Record<string, readonly (readonly string[])[]>>;

/**
 * Settings of a farther level (defaults, service) under those of a nearer one (service, stage): maps merge, everything else, lists
 * included, is replaced. What is undefined counts as absent. Neither argument is changed.
 */
function mergeSettings<Far extends object, Near extends object>(far: Far, near: Near, kinds: Kinds): Far & Near {
  // What merges is what the same schema made of both, so the result has the type of both.
  return mergeMaps(far as Json, near as Json, alternativesOf(kinds), []) as unknown as Far & Near;
}

function alternativesOf({ checks, deploys }: Kinds): Alternatives {
  const kinds = [...checks, ...deploys.map(({ kind, alternatives }) => ({ kind: `deploy.${kind}`, alternatives }))];
  const ofKinds = kinds.flatMap(({ kind, alternatives = {} }) =>
    Object.entries(alternatives).map(([path, groups]) => [path === '' ? kind : `${kind}.${path}`, groups]),
  );
  return {
    change: [
      ['services', 'path', 'marker', 'key', 'images', 'files'],
      ['file', 'files'],
    ],
    'watch.http.version': [['header', 'json']],
    'watch.flux': [['kustomization', 'helmRelease']],
    deploy: [deploys.map(({ kind }) => kind)],
    ...Object.fromEntries(ofKinds),
  };
}

function mergeMaps(far: Json, near: Json, alternatives: Alternatives, path: readonly string[]): Json {
  const groups = alternatives[path.join('.')] ?? [];
  const displaced = groups.filter((group) => group.some((key) => Object.hasOwn(near, key))).flat();
  const kept = Object.entries(far).filter(([key, value]) => value !== undefined && !displaced.includes(key));
  const merged = Object.entries(near).map(([key, value]) => {
    const [under, inner] = [far[key], [...path, key]];
    // A tag policy is one value: two of them have no sensible mixture.
    const isMixed = inner.join('.') !== 'tags' && isMap(under) && isMap(value);
    return [key, isMixed ? mergeMaps(under, value, alternatives, inner) : value];
  });
  return { ...Object.fromEntries(kept), ...Object.fromEntries(merged) };
}

function isMap(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
