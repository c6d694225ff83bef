import { z } from 'zod';
import { type OperatorEntry, operatorRoles } from '../domain/person.ts';
import { type NoticeEvent, type NotifierPlan, noticeEvents } from '../domain/plan.ts';
import { type SecretCheck, secret, text } from '../settings/scalars.ts';
import { byKey, map, oneOf, optional } from '../settings/wording.ts';
import { type Kinds, saidOf } from './kinds.ts';

/** The people of the configuration: who may decide, and who is told. */

const login = text('a login at GitHub', /^[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?$/);

export function operators(check: SecretCheck) {
  const operator = map(
    {
      // `ann (oidc)` is how somebody is told of who is no operator of that name.
      name: text('a name without blanks at its ends, or (…) at its end', /^\S(?:.*[^\s)])?$/).describe(
        'As approvals and decisions name it.',
      ),
      github: optional(login, "Login at GitHub: reviews of this account are this person's."),
      githubId: optional(
        z.int().positive(),
        "Id of that account (api.github.com/users/LOGIN): then only it counts, as a login may be somebody else's after a rename.",
      ),
      oidc: optional(
        text('a name', /^\S(?:.*\S)?$/),
        'Their name at the OpenID provider, as the claim login.oidc.name says it: who logs in under it is this person.',
      ),
      token: optional(secret(check), "Secret reference of the token's hash (sha256:HEX), never of the token."),
      proof: optional(
        z.enum(['required', 'optional']),
        'optional: whoever types the name without the token is taken for somebody unverified, and not refused. Default: required where there is a token.',
      ),
      roles: z
        .array(z.enum(operatorRoles))
        .min(1)
        .describe(
          'view: all that there is; operate: what changes something; approve: stages. Each of the two others sees all, too.',
        )
        .default(['view']),
    },
    'A person whose decisions count.',
  );
  return z
    .array(operator)
    .superRefine((entries, context) => {
      for (const [index, { github, githubId }] of entries.entries()) {
        if (githubId === undefined || github !== undefined) continue;
        const message = 'expected github, the login of that account, beside it';
        context.addIssue({ code: 'custom', path: [index, 'githubId'], message });
      }
      for (const [key, word] of [
        ['name', 'name'],
        ['github', 'login'],
        ['githubId', 'id'],
        ['oidc', 'name at the OpenID provider'],
      ] as const) {
        const values = entries.map((entry) => entry[key] && String(entry[key]).toLowerCase());
        for (const [index, value] of values.entries()) {
          const earlier = values.indexOf(value);
          if (value === undefined || earlier === index) continue;
          const message = `expected each ${word} once, found that of operators[${earlier}] again`;
          context.addIssue({ code: 'custom', path: [index, key], message });
        }
      }
    })
    .transform((entries): readonly OperatorEntry[] =>
      entries.map(({ proof, ...entry }) => ({ ...entry, ...(proof === 'optional' && { proof }) })),
    )
    .describe('Who may approve, retry, roll back, …');
}

/** Whom to tell of what, and of which services. */
export interface NotifierSettings {
  readonly notifier: NotifierPlan;
  /** Names of services, with `*` for any text. */
  readonly services: readonly string[];
}

/** What a target is told of that names no events, where its kind has none of its own. */
export const usualEvents: readonly NoticeEvent[] = [
  'proposed',
  'approval',
  'blocked',
  'delivered',
  'rolled-back',
  'failed',
  'expired',
];

export function notify(check: SecretCheck, { notifiers }: Kinds) {
  const kinds = notifiers.map(({ kind }) => kind);
  const known = oneOf(kinds, 'and');
  const others = notifiers.flatMap(({ kind, usualEvents: own }) => (own === undefined ? [] : [`for ${kind}: ${own.join(', ')}`]));
  const entry = map(
    {
      ...byKey(notifiers.map(({ kind, schema }) => [kind, schema(check)])),
      events: optional(z.array(z.enum(noticeEvents)).min(1), `Default: ${[usualEvents.join(', '), ...others].join('; ')}.`),
      services: optional(
        z.array(text('the name of a service, * for any text')).min(1),
        'Names of services; * stands for any text. Default: all.',
      ),
    },
    'One target, and what it is told of.',
  ).transform(({ events, services = ['*'], ...said }, context): NotifierSettings => {
    const named = notifiers.filter(({ kind }) => Object.hasOwn(said, kind));
    const [target, ...more] = named;
    if (target !== undefined && more.length === 0) {
      const { kind, usualEvents: own = usualEvents } = target;
      return { notifier: { kind, events: events ?? own, ...target.resolve(saidOf(said, kind)) }, services };
    }
    const found = named.length === 0 ? 'none' : Object.keys(said).join(' and ');
    context.addIssue(`expected one of ${known}, found ${found}`);
    return z.NEVER;
  });
  return z.array(entry).describe(`Who is told of what happens: each entry is one of ${known}.`);
}
