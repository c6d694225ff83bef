import { z } from 'zod';
import type { OperatorEntry } from '../domain/operator.ts';
import { type NoticeEvent, type NotifierPlan, noticeEvents, type SlackTarget } from '../domain/plan.ts';
import { credentialsInUrl, githubRepository, type SecretCheck, secret, text, url } from '../settings/scalars.ts';
import { parseSecretReference } from '../settings/secrets.ts';
import { map, oneOrMany, showValue } from '../settings/wording.ts';

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
const deploymentEvents: readonly NoticeEvent[] = ['deploying', 'healthy', 'unhealthy', 'rolled-back', 'failed'];

export function notify(check: SecretCheck) {
  return z
    .array(notifier(check))
    .meta({ description: 'Who is told of what happens: each entry is one of slack, discord, webhook, email and github.' });
}

function notifier(check: SecretCheck) {
  return map(
    {
      slack: slack(check).exactOptional(),
      discord: secret(check).meta({ description: 'Secret reference of the URL of a webhook of Discord.' }).exactOptional(),
      webhook: webhook(check).exactOptional(),
      email: email(check).exactOptional(),
      github: github.exactOptional(),
      events: z
        .array(z.enum(noticeEvents))
        .min(1)
        .meta({
          description: `Default: ${usualEvents.join(', ')}; for github: ${deploymentEvents.join(', ')}.`,
        })
        .exactOptional(),
      services: z
        .array(text('the name of a service, * for any text'))
        .min(1)
        .meta({ description: 'Names of services; * stands for any text. Default: all.' })
        .exactOptional(),
    },
    'One target, and what it is told of.',
  ).transform(({ events, services = ['*'], ...targets }, context): NotifierSettings => {
    const named = Object.keys(targets);
    const target = targetOf(targets);
    if (target !== undefined && named.length === 1) {
      const usual = target.kind === 'github' ? deploymentEvents : usualEvents;
      return { notifier: { ...target, events: events ?? usual }, services };
    }
    const found = named.length === 0 ? 'none' : named.join(' and ');
    context.addIssue({ code: 'custom', message: `expected one of slack, discord, webhook, email and github, found ${found}` });
    return z.NEVER;
  });
}

type NotifierTarget = DistributiveOmit<NotifierPlan, 'events'>;
type DistributiveOmit<Union, Key extends PropertyKey> = Union extends unknown ? Omit<Union, Key> : never;

interface NotifierTargets {
  readonly slack?: SlackTarget;
  readonly discord?: string;
  readonly webhook?: { readonly url: string; readonly secret: string };
  readonly email?: { readonly smtp: string; readonly from: string; readonly to: string | string[] };
  readonly github?: true | { readonly repository: string };
}

function targetOf({ slack, discord, webhook, email, github }: NotifierTargets): NotifierTarget | undefined {
  if (slack !== undefined) return { kind: 'slack', target: slack };
  if (discord !== undefined) return { kind: 'discord', url: discord };
  if (webhook !== undefined) return { kind: 'webhook', ...webhook };
  if (email !== undefined) return { kind: 'email', ...email, to: [email.to].flat() };
  if (github === undefined) return undefined;
  return { kind: 'github', ...(github === true ? {} : github) };
}

function slack(check: SecretCheck) {
  return z
    .union(
      [
        secret(check).transform((reference): SlackTarget => ({ url: reference })),
        map(
          {
            token: secret(check).meta({ description: 'Secret reference of a bot token with the scope chat:write.' }),
            channel: text('a channel').meta({ description: 'The channel, best by its id.' }),
            api: url("the base of Slack's Web API").exactOptional(),
          },
          'A bot of Slack, which can update its message and thread what follows.',
        ),
      ],
      {
        error: (issue) =>
          `expected env:NAME or file:PATH of the URL of an incoming webhook, or a map (token, channel), found ${typeof issue.input === 'string' ? 'text' : showValue(issue.input)}`,
      },
    )
    .meta({ description: 'Slack: the secret reference of the URL of an incoming webhook, or a bot.' });
}

function webhook(check: SecretCheck) {
  const expected = 'a URL that begins with http:// or https://, or env:NAME or file:PATH of one';
  return map(
    {
      url: z
        .string({ error: `expected ${expected}` })
        .superRefine((value, context) => {
          const isReference = parseSecretReference(value) !== undefined;
          // What is no good URL may hold a secret, so it is not shown.
          const message = isReference ? check(value) : problemOfUrl(value, expected);
          if (message !== undefined) context.addIssue({ code: 'custom', message });
        })
        .meta({ description: 'Where to, or the secret reference of it.' }),
      secret: secret(check).meta({ description: 'Secret reference of the key of the signature.' }),
    },
    'A POST of JSON, signed with HMAC-SHA256.',
  );
}

function problemOfUrl(value: string, expected: string): string | undefined {
  if (!/^https?:\/\/[^\s/]+/.test(value) || !URL.canParse(value)) return `expected ${expected}`;
  return credentialsInUrl.test(value)
    ? 'expected a URL without user, password or token: as env:NAME or file:PATH it may have them'
    : undefined;
}

function email(check: SecretCheck) {
  const address = text('an e-mail address', /^[^\s@]+@[^\s@]+$/);
  return map(
    {
      smtp: secret(check).meta({ description: 'Secret reference of smtp://USER:PASSWORD@HOST:PORT (STARTTLS) or smtps://….' }),
      from: text('an e-mail address', /^\S.*@\S+$|^[^\s@]+@[^\s@]+$/).meta({
        description: 'Such as Landfall <landfall@example.org>.',
      }),
      to: oneOrMany(address, 'an e-mail address').meta({ description: 'One address, or several.' }),
    },
    'Mail by SMTP.',
  );
}

const github = z
  .union([z.literal(true), map({ repository: githubRepository }, 'Where the push names no source repository.')], {
    error: (issue) => `expected true or a map (repository), found ${showValue(issue.input)}`,
  })
  .meta({ description: 'Deployments with their status, on the source commit at GitHub.' });
