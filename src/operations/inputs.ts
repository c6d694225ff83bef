/** What operators can ask for and have done: who asks, and the schema of each input. Nothing here reaches Temporal, so that it loads quickly. */
import { z } from 'zod';
import { type Digest, isDigest, isTag } from '../domain/image-reference.ts';
import { decisionVerbs, runStatuses } from '../domain/rollout-state.ts';
import { parseDuration } from '../settings/amounts.ts';
import { namePattern } from '../settings/name-pattern.ts';
import { wordIssue } from '../settings/wording.ts';
import { InvalidInput } from './errors.ts';

/** Who asks for something to be done, and what proves that it is they. */
export interface Actor {
  readonly name: string;
  /** Hash of their token, `sha256:HEX`: decisions are signed with it, and checked by the worker. Absent: the name is only a claim. */
  readonly tokenHash?: string;
  /** Who has logged in at the OpenID provider: the hash is that of the key by which the API vouches for them. */
  readonly login?: 'oidc';
}

/** @throws InvalidInput with one line for each problem */
export function parseInput<Schema extends z.ZodType>(schema: Schema, input: unknown): z.output<Schema> {
  const parsed = schema.safeParse(input, { error: wordIssue });
  if (parsed.success) return parsed.data;
  // What the schemas say in their own words names what it is about.
  const lines = parsed.error.issues.map(({ code, path, message }) =>
    code === 'custom' || path.length === 0 ? message : `${path.join('.')}: ${message}`,
  );
  throw new InvalidInput(lines.join('\n'));
}

/** The name of a service, whether or not there is one. That of a tag which goes its own way ends in it. */
export const serviceInput = z
  .string()
  .refine(isServiceName, { error: ({ input }) => `expected the name of a service, found '${String(input)}'` });

function isServiceName(text: string): boolean {
  const [name = '', ...tags] = text.split('@');
  return namePattern.test(name) && tags.length < 2 && tags.every(isTag);
}

/** Why somebody decides so. A blank one is none. */
export const reasonInput = z
  .string()
  .optional()
  .transform((text) => text?.trim() || undefined);

/** Which rollouts to list. */
export const rolloutFilter = z.object({
  service: serviceInput.optional(),
  status: z.enum(runStatuses).optional(),
  limit: z.int().min(1).max(99_999),
  /** Earlier runs of a rollout too, not only the newest that matches. */
  allRuns: z.boolean().optional(),
});
export type RolloutFilter = z.output<typeof rolloutFilter>;

const idText = /^[\w.:@-]+$/;

/** What somebody typed for a rollout: the beginning of an id, or the name of a service. */
export const rolloutPrefix = z
  .string()
  .regex(idText, {
    error: ({ input }) => `expected the beginning of a rollout's id such as app:latest:9f86d081884c, found '${String(input)}'`,
  })
  .transform((text) => (/^(?:rollout|rollback|build):/.test(text) ? text : `rollout:${text}`));

const digestInput = z.string().refine((text): text is Digest => isDigest(text), {
  error: ({ input }) => `expected a digest: sha256: and 64 hex digits, found '${String(input).slice(0, 80)}'`,
});

/** What somebody decides about a rollout: its step, or its stage, where more than one waits. */
export const decisionInput = z
  .object({
    verb: z.enum(decisionVerbs),
    rollout: rolloutPrefix,
    step: z.string().optional(),
    stage: z.string().optional(),
    reason: reasonInput,
    digest: digestInput
      .exactOptional()
      .describe('Of an approval: the digest that was looked at. Where it is another one, it is refused.'),
    head: z
      .string()
      .max(100)
      .exactOptional()
      .describe(
        "Of an approval: the proposal's head that was looked at, as its question says. Where it has moved on, it is refused.",
      ),
  })
  .refine(({ verb, reason }) => verb !== 'skip' || reason !== undefined, {
    error: 'a skip is a waiver and needs a reason: landfall skip ROLLOUT STEP --reason TEXT',
  })
  .refine(({ verb, digest, head }) => verb === 'approve' || (digest === undefined && head === undefined), {
    error: 'expected digest and head with approve alone: they say what is approved',
  });

export type DecisionInput = z.output<typeof decisionInput>;

const common = { service: serviceInput, reason: reasonInput };

/** What changes how a service's lane goes on. `digest`: a whole one, or the beginning of one that the lane knows. */
export const laneCommandInput = z
  .discriminatedUnion('verb', [
    z.object({ ...common, verb: z.enum(['hold', 'release']), stage: z.string().optional() }),
    z.object({ ...common, verb: z.enum(['pin', 'promote']), stage: z.string(), digest: z.string() }),
    z.object({ ...common, verb: z.enum(['quarantine', 'unquarantine']), digest: z.string() }),
    z.object({
      ...{ ...common, verb: z.literal('rollback'), stage: z.string() },
      digest: z
        .string()
        .exactOptional()
        .describe('What the stage ran when it was looked at. Where it runs another one, it is refused.'),
    }),
  ])
  .superRefine(requireReason);
export type LaneCommand = z.output<typeof laneCommandInput>;

/** Of all services at once. */
export const globalHoldInput = z.object({ verb: z.enum(['hold', 'release']), reason: reasonInput }).superRefine(requireReason);
export type GlobalHoldInput = z.output<typeof globalHoldInput>;

function requireReason({ verb, reason }: { verb: string; reason?: string | undefined }, context: z.RefinementCtx): void {
  if (reason !== undefined || !['hold', 'pin', 'rollback'].includes(verb)) return;
  const message = `whoever finds it later has to know why: landfall ${verb} ... --reason TEXT`;
  context.addIssue({ code: 'custom', path: ['reason'], message });
}

/** `image`: IMAGE[:TAG][@DIGEST], or the name of a service in place of its image. `service`: only for this one. */
export const triggerInput = z.object({ image: z.string(), service: z.string().optional() });
export type TriggerInput = z.output<typeof triggerInput>;

/** `IMAGE[:TAG][@DIGEST]`; tag `latest` where none is given. */
export const explainInput = z.object({ image: z.string() });
export type ExplanationInput = z.output<typeof explainInput>;

/** What somebody may ask for of a build. */
export const buildInput = z
  .strictObject({
    name: z.string().min(1),
    /** A full commit, a branch or a tag; absent: the branch of the build. */
    ref: z.string().min(1).optional(),
    dryRun: z.boolean().optional(),
    force: z.boolean().optional(),
    tag: z.string().refine(isTag, { error: 'expected a tag of at most 128 letters, digits, _, . and -' }).optional(),
    pushLatest: z.boolean().optional(),
    release: z.enum(['pre-release', 'main-release']).optional(),
    /** A checkout in place of the repository of the configuration. */
    source: z.string().min(1).optional(),
    pushOnly: z.boolean().optional(),
  })
  .refine(({ dryRun, force }) => !(dryRun && force), {
    error: 'expected either dryRun or force: with both nobody can tell whether to push',
  })
  .refine(({ tag, release }) => tag === undefined || release === undefined, {
    error: 'expected either a tag or a release type: each of them says what the tag is',
  });
export type BuildRequest = z.output<typeof buildInput>;

/** The whole id of a build, with or without what it begins with. */
export const wholeBuild = z
  .string()
  .transform((text) => (text.startsWith('build:') ? text : `build:${text}`))
  .refine((text) => /^build:[\w.-]+:[0-9a-f]{12}(?:-dry)?$/.test(text), {
    error: 'expected the id of a build such as build:web:9f86d081884c, as starting it has answered',
  });

export const figuresInput = z.object({
  /** Over how many days until now. Temporal keeps what has ended for as long as its namespace says; ours 30 days. */
  days: z.coerce.number().int().min(1).max(365).default(30),
  service: serviceInput.optional(),
});
export type FiguresInput = z.output<typeof figuresInput>;

/** Which entries to read. */
export const auditQuery = z.object({
  /** An age such as 24h, or a time: not what is older. */
  since: z.string().transform(timeOf).optional(),
  source: z.string().optional(),
  outcome: z.string().optional(),
  service: z.string().optional(),
});
export type AuditQuery = z.output<typeof auditQuery>;

/** Milliseconds since 1970 of an age or a time. */
function timeOf(since: string, context: z.RefinementCtx): number {
  const age = parseDuration(since);
  if (age !== undefined) return Date.now() - age;
  const [, date, time, zone = 'Z'] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:\d\d)?)?$/i.exec(since) ?? [];
  const at = date === undefined ? Number.NaN : Date.parse(`${date}T${time ?? '00:00'}${zone.toUpperCase()}`);
  if (!Number.isNaN(at)) return at;
  const message = `expected 30m, 24h, 7d or a time such as 2026-01-31 or 2026-01-31T08:00Z, found '${since}'`;
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
}
