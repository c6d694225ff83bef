import { z } from 'zod';
import type { OperatorEntry } from '../domain/operator.ts';
import { type NoticeEvent, type NotifierPlan, noticeEvents } from '../domain/plan.ts';
import { type SecretCheck, secret, text } from '../settings/scalars.ts';
import { map, oneOf } from '../settings/wording.ts';
import type { Kinds } from './kinds.ts';

/** The people of the configuration: who may decide, and who is told. */

const login = text('a login at GitHub', /^[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?$/);

export function operators(check: SecretCheck) {
  const operator = map(
    {
      name: text('a name without blanks at its ends', /^\S(?:.*\S)?$/).meta({
        description: 'As approvals and decisions name it.',
      }),
      github: login.meta({ description: "Login at GitHub: reviews of this account are this person's." }).exactOptional(),
      token: secret(check)
        .meta({ description: "Secret reference of the token's hash (sha256:HEX), never of the token." })
        .exactOptional(),
      roles: z
        .array(z.enum(['operate', 'approve']))
        .min(1)
        .meta({ description: 'approve: stages; operate: everything else that a person can say.' }),
    },
    'A person whose decisions count.',
  );
  return z
    .array(operator)
    .superRefine((entries, context) => {
      for (const key of ['name', 'github'] as const) {
        const values = entries.map((entry) => entry[key]?.toLowerCase());
        values.forEach((value, index) => {
          const earlier = value === undefined ? -1 : values.indexOf(value);
          if (earlier < 0 || earlier === index) return;
          const message = `expected each ${key === 'name' ? 'name' : 'login'} once, found that of operators[${earlier}] again`;
          context.addIssue({ code: 'custom', path: [index, key], message });
        });
      }
    })
    .transform((entries): readonly OperatorEntry[] => entries)
    .meta({ description: 'Who may approve, retry, roll back, …' });
}

/** Whom to tell of what, and of which services. */
export interface NotifierSettings {
  readonly notifier: NotifierPlan;
  /** Names of services, with `*` for any text. */
  readonly services: readonly string[];
}

const usualEvents: readonly NoticeEvent[] = ['approval', 'blocked', 'delivered', 'rolled-back', 'failed', 'expired'];

export function notify(check: SecretCheck, { notifiers }: Kinds) {
  return z
    .array(notifier(check, notifiers))
    .meta({ description: `Who is told of what happens: each entry is one of ${listed(notifiers)}.` });
}

function notifier(check: SecretCheck, notifiers: Kinds['notifiers']) {
  // Of what is read there, only the kind itself knows the type.
  const targets: Record<string, z.ZodExactOptional<z.ZodType>> = Object.fromEntries(
    notifiers.map(({ kind, schema }) => [kind, schema(check).exactOptional()]),
  );
  return map(
    {
      ...targets,
      events: z
        .array(z.enum(noticeEvents))
        .min(1)
        .meta({ description: `Default: ${describeUsual(notifiers)}.` })
        .exactOptional(),
      services: z
        .array(text('the name of a service, * for any text'))
        .min(1)
        .meta({ description: 'Names of services; * stands for any text. Default: all.' })
        .exactOptional(),
    },
    'One target, and what it is told of.',
  ).transform(({ events, services = ['*'], ...written }, context): NotifierSettings => {
    const said = new Map<string, unknown>(Object.entries(written));
    const named = notifiers.filter(({ kind }) => said.has(kind));
    const [target, ...more] = named;
    if (target !== undefined && more.length === 0) {
      const { kind, usualEvents: own = usualEvents } = target;
      return { notifier: { kind, events: events ?? own, ...target.resolve(said.get(kind)) }, services };
    }
    const found = named.length === 0 ? 'none' : [...said.keys()].join(' and ');
    context.addIssue({ code: 'custom', message: `expected one of ${listed(notifiers)}, found ${found}` });
    return z.NEVER;
  });
}

function listed(notifiers: Kinds['notifiers']): string {
  return oneOf(
    notifiers.map(({ kind }) => kind),
    'and',
  );
}

function describeUsual(notifiers: Kinds['notifiers']): string {
  const others = notifiers.flatMap(({ kind, usualEvents: own }) => (own === undefined ? [] : [`for ${kind}: ${own.join(', ')}`]));
  return [usualEvents.join(', '), ...others].join('; ');
}
