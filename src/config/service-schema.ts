import { z } from 'zod';
import { problemOf, type TagPolicy } from '../domain/tag-policy.ts';
import { duration, imagePattern, platform, type SecretCheck, serviceName, stageName, tag, text } from '../settings/scalars.ts';
import { map, orOff, showValue } from '../settings/wording.ts';
import type { Kinds } from './kinds.ts';
import { stageSettings } from './stage-schema.ts';

/** What `defaults`, a service and a stage may say. Everything is optional, because each may come from a level above. */

const tagPolicy = z
  .union(
    [
      z.array(tag).min(1).meta({ description: 'These very tags.' }),
      map(
        { semver: text('a semver range such as ">=1.2 <2"') },
        "Semantic versions within a range, in npm's grammar; the greater one is the later one.",
      ),
      map(
        {
          pattern: text('a regular expression'),
          order: z.enum(['alphabetical', 'numerical', 'newest']).meta({
            description: 'How the first group (else the whole tag) is compared; newest: by the creation time of the image.',
          }),
        },
        'A regular expression over the whole tag, and which of two tags is the later one.',
      ),
    ],
    { error: (issue) => `expected a list of tags, {semver} or {pattern, order}, found ${showValue(issue.input)}` },
  )
  .transform((value): TagPolicy => {
    if (Array.isArray(value)) return { kind: 'exact', tags: value };
    return 'semver' in value ? { kind: 'semver', range: value.semver } : { kind: 'pattern', ...value };
  })
  .superRefine((policy, context) => {
    const problem = problemOf(policy);
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
  })
  .meta({ description: 'Which tags are followed. Default: [latest].' });

function serviceSettings(check: SecretCheck, kinds: Kinds) {
  return {
    tags: tagPolicy.exactOptional(),
    platforms: z
      .array(platform)
      .meta({
        description:
          'Platforms that the image must have, and the only ones that are scanned and may run. Default: whatever it has.',
      })
      .exactOptional(),
    ...checkSettings(check, kinds.checks),
    ...stageSettings(kinds),
    decideWithin: duration
      .meta({ description: 'How long a blocked step waits for a decision before the rollout ends expired. Default: 24h.' })
      .exactOptional(),
    stages: z
      .array(map({ name: stageName, ...stageSettings(kinds) }, 'One environment.'))
      .min(1)
      .meta({ description: 'Environments, in order. Without it: one, named production, from the same keys on the service.' })
      .exactOptional(),
  };
}

/** Under the names of their kinds. Of what is read there, only the kind itself knows the type. */
function checkSettings(check: SecretCheck, checks: Kinds['checks']): Record<string, z.ZodExactOptional<z.ZodType>> {
  return Object.fromEntries(checks.map(({ kind, schema, keys }) => [kind, orOff(schema(check), keys).exactOptional()]));
}

export function defaultsSchema(check: SecretCheck, kinds: Kinds) {
  return map(serviceSettings(check, kinds), 'What holds for every service: maps merge into each service, lists replace.');
}

export function serviceSchema(check: SecretCheck, kinds: Kinds) {
  return map(
    {
      name: serviceName
        .meta({ description: 'Default: the last path segment of the image. For a pattern, * stands for that segment.' })
        .exactOptional(),
      image: imagePattern.meta({
        description: 'A repository, or a pattern such as ghcr.io/team/* for one service per repository.',
      }),
      ...serviceSettings(check, kinds),
    },
    'Which image is followed, and what happens to a push.',
  );
}

export type DefaultsInput = z.output<ReturnType<typeof defaultsSchema>>;
export type ServiceInput = z.output<ReturnType<typeof serviceSchema>>;
export type StageInput = NonNullable<DefaultsInput['stages']>[number];
