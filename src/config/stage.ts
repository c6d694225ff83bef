import { z } from 'zod';
import type { ApprovalPlan, Approver, StagePlan, WindowPlan } from '../domain/plan.ts';
import { isTimeZone, problemOfWindow } from '../domain/windows/index.ts';
import { type Complain, within } from '../settings/problem.ts';
import { duration, text } from '../settings/scalars.ts';
import { expecting, map, oneOf, optional, orWord } from '../settings/wording.ts';
import { change, dispatch, resolveChange, resolveDispatch } from './change.ts';
import { deploySchema, resolveDeploy } from './deploy.ts';
import { type FileContext, forgeOf, type Kinds, type StageContext } from './kinds.ts';
import { resolveWatch, watch } from './watch.ts';

/** What a stage may say, and what comes of it. */

const day = 86_400_000;

const approval = map(
  {
    from: optional(z.array(text('the name of an operator')).min(1), 'Who may approve: names of operators with the role approve.'),
    required: optional(z.int().min(1), 'How many of them have to. Default: 1.'),
    within: optional(duration, 'How long it may take; then the rollout ends expired. Default: 24h.'),
    selfApproval: optional(
      z.boolean(),
      'false: who pushed the image may not approve it, nor anybody where that is unknown. Default: true.',
    ),
    verified: optional(
      z.boolean(),
      "true: only approvals by an operator's token or by a review at GitHub count. Default: true where any operator has a token.",
    ),
  },
  'Who has to approve before the stage is changed.',
);

const times = z.union(
  [
    text("times of the week such as 'Fri 16:00 - Mon 08:00'"),
    map(
      {
        recurrence: text('lines DTSTART and RRULE of iCalendar (RFC 5545)').describe(
          'DTSTART (a local time), RRULE and the like of iCalendar (RFC 5545), one per line.',
        ),
        for: duration.describe('How long each occurrence lasts.'),
      },
      'Times by a recurrence of iCalendar.',
    ),
  ],
  expecting("times of the week such as 'Fri 16:00 - Mon 08:00', or a map (recurrence, for)"),
);

const window = map(
  {
    deny: optional(times, 'When the running system must not be changed.'),
    allow: optional(times, 'When it may be changed; outside of all allowed times it must not.'),
    timezone: optional(
      text('a time zone by its IANA name, such as Europe/Stockholm'),
      'IANA name of the time zone. Default: UTC.',
    ),
    reason: optional(text('a reason'), 'Shown to those who wait.'),
  },
  'One window: deny or allow.',
).transform(({ deny, allow, timezone = 'UTC', ...reason }, context): WindowPlan => {
  const refuse = (path: string[], message: string) => {
    context.addIssue({ code: 'custom', path, message });
    return z.NEVER;
  };
  const written = deny ?? allow;
  if (written === undefined || (deny !== undefined && allow !== undefined))
    return refuse([], `expected either deny or allow, found ${written === undefined ? 'none' : 'both'}`);
  const kind = deny === undefined ? 'allow' : 'deny';
  const times = typeof written === 'string' ? { weekly: written } : { recurrence: written.recurrence, durationMs: written.for };
  const plan = { kind, timezone, ...reason, ...times } as const;
  const problem = problemOfWindow(plan);
  return problem === undefined ? plan : refuse([isTimeZone(timezone) ? kind : 'timezone'], problem);
});

/** What a stage may say, and a service for all of its stages. */
export function stageSettings(kinds: Kinds) {
  return {
    change: orWord('off', change, 'repository, file, …').exactOptional(),
    dispatch: orWord('off', dispatch, 'repository, event').exactOptional(),
    approval: orWord('off', approval, 'from, required, …').exactOptional(),
    windows: optional(z.array(window), 'When the running system may be changed; rollbacks never wait. Default (and []): always.'),
    merge: optional(
      z.enum(['off', 'manual', 'auto']),
      'off: the rollout ends once the change is proposed. manual: a person merges. auto: Landfall does, once it may. Default: off.',
    ),
    mergeMethod: optional(
      z.enum(['squash', 'merge', 'rebase']),
      'Default: the first of squash, merge and rebase that the repository allows.',
    ),
    deploy: orWord('none', deploySchema(kinds), oneOf(kinds.deploys.map(({ kind }) => kind))).exactOptional(),
    watch: orWord('off', watch, 'http, tcp, docker, kubernetes, argocd, flux, command, for, …').exactOptional(),
    rollback: optional(
      z.enum(['auto', 'manual', 'off']),
      'When it turns out to be unhealthy. auto: back at once. manual: an operator decides. Default: auto with a watch or a deploy, else off.',
    ),
  };
}

type Settings = ReturnType<typeof stageSettings>;
export type StageInput = { readonly name: string } & { readonly [Key in keyof Settings]?: z.output<Settings[Key]> };

/** A stage with what its service and the defaults say for it. */
export function resolveStage(input: StageInput, context: FileContext, complain: Complain): StagePlan {
  const { name, windows = [], merge = 'off', mergeMethod } = input;
  const [change, dispatch, approval, watch] = [on(input.change), on(input.dispatch), on(input.approval), on(input.watch)];
  const deploy = input.deploy === 'none' ? undefined : input.deploy;
  const changed = change && {
    change: resolveChange(
      { ...change, merge, ...(mergeMethod !== undefined && { mergeMethod }) },
      context,
      within(complain, 'change'),
    ),
  };
  const inside: StageContext = { ...context, ...changed, stage: name };
  mergeComplaints(input, complain);
  const deployed = deploy && resolveDeploy(deploy, inside, within(complain, 'deploy'));
  return {
    name,
    ...changed,
    ...(dispatch && { dispatch: resolveDispatch(dispatch, context, within(complain, 'dispatch')) }),
    ...(approval && { approval: resolveApproval(approval, inside, within(complain, 'approval')) }),
    ...(windows.length > 0 && { windows }),
    ...(deployed && { deploy: deployed }),
    ...(watch && { watch: resolveWatch(watch, deploy, inside, within(complain, 'watch')) }),
    rollback: input.rollback ?? (watch === undefined && deploy === undefined ? 'off' : 'auto'),
  };
}

function on<Settings>(setting: Settings | 'off' | undefined): Settings | undefined {
  return setting === 'off' ? undefined : setting;
}

function mergeComplaints({ merge, change, deploy = 'none', watch = 'off' }: StageInput, complain: Complain): void {
  // `change: off` says it all, also beside a `merge` that holds for the other services.
  if (merge !== undefined && merge !== 'off' && change === undefined)
    complain(['merge'], `expected a change beside merge: ${merge} (or merge: off), found none: there is nothing to merge`);
  if (merge !== undefined || on(change) === undefined) return;
  const useless = deploy !== 'none' ? 'deploy' : watch !== 'off' ? 'watch' : undefined;
  if (useless !== undefined)
    complain(
      [useless],
      `expected merge: auto or manual beside change and ${useless}, found nothing: without it the rollout ends once the change is proposed (merge: off says that this is meant)`,
    );
}

function resolveApproval(input: z.output<typeof approval>, context: StageContext, complain: Complain): ApprovalPlan {
  const { from = [], required = 1, within: withinMs = day, selfApproval = true } = input;
  const anyToken = context.operators?.some(({ token }) => token !== undefined) ?? false;
  const { verified = anyToken } = input;
  const because =
    input.verified === undefined
      ? 'verified is true where any operator has a token (verified: false takes typed names)'
      : 'verified is true';
  if (from.length === 0) complain(['from'], 'expected the names of operators who may approve, found nothing');
  else if (required > from.length)
    complain(['required'], `expected at most ${from.length}, as many as may approve (from), found ${required}`);
  const approvers = from.map((name, index) =>
    approver(name, from.indexOf(name) < index, verified ? because : undefined, context, within(complain, 'from', index)),
  );
  return { from: approvers, required, withinMs, selfApproval, verified };
}

function approver(
  name: string,
  isRepeated: boolean,
  whyVerified: string | undefined,
  { kinds, operators, change }: StageContext,
  complain: Complain,
): Approver {
  const isReviewed = change !== undefined && forgeOf(change.repository, kinds)?.reviews === true;
  const operator = operators?.find((entry) => entry.name === name);
  const known = operators?.map((entry) => entry.name).join(', ');
  const isUnproven = whyVerified !== undefined && operator?.token === undefined && operator?.oidc === undefined;
  if (operators === undefined) return { name };
  if (isRepeated) complain([], `expected each name once, found '${name}' again`);
  else if (operator === undefined)
    complain(
      [],
      `expected the name of one of the operators, found '${name}'${known ? ` (there are ${known})` : ', and no operators at all'}`,
    );
  else if (!operator.roles.includes('approve'))
    complain([], `expected an operator with the role approve, found '${name}' without it`);
  else if (isUnproven && operator.github === undefined)
    complain([], `expected an operator with token, oidc or github, because ${whyVerified}, found '${name}' with none of them`);
  else if (isUnproven && !isReviewed)
    complain(
      [],
      `expected an operator with token or oidc, because ${whyVerified} and this stage has no pull request to review, found '${name}' without it`,
    );
  const { github, githubId, oidc } = operator ?? {};
  return {
    name,
    ...(github !== undefined && { github }),
    ...(githubId !== undefined && { githubId }),
    ...(oidc !== undefined && { oidc }),
  };
}
