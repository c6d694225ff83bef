import { z } from 'zod';
import type { WindowPlan } from '../domain/plan.ts';
import { isTimeZone, problemOfWindow } from '../domain/windows.ts';
import { duration, text } from '../settings/scalars.ts';
import { map, oneOf, orOff, orWord, showValue } from '../settings/wording.ts';
import { change, dispatch } from './change-schema.ts';
import { deploySchema } from './deploy-schema.ts';
import type { Kinds } from './kinds.ts';
import { watch } from './watch-schema.ts';

const approval = map(
  {
    from: z
      .array(text('the name of an operator'))
      .min(1)
      .meta({ description: 'Who may approve: names of operators with the role approve.' })
      .exactOptional(),
    required: z.int().min(1).meta({ description: 'How many of them have to. Default: 1.' }).exactOptional(),
    within: duration.meta({ description: 'How long it may take; then the rollout ends expired. Default: 24h.' }).exactOptional(),
    selfApproval: z
      .boolean()
      .meta({ description: 'false: who pushed the image may not approve it, nor anybody where that is unknown. Default: true.' })
      .exactOptional(),
    verified: z
      .boolean()
      .meta({ description: "true: only approvals by an operator's token or by a review at GitHub count. Default: false." })
      .exactOptional(),
  },
  'Who has to approve before the stage is changed.',
);

const times = z.union(
  [
    text("times of the week such as 'Fri 16:00 - Mon 08:00'"),
    map(
      {
        recurrence: text('lines DTSTART and RRULE of iCalendar (RFC 5545)').meta({
          description: 'DTSTART (a local time), RRULE and the like of iCalendar (RFC 5545), one per line.',
        }),
        for: duration.meta({ description: 'How long each occurrence lasts.' }),
      },
      'Times by a recurrence of iCalendar.',
    ),
  ],
  {
    error: (issue) =>
      `expected times of the week such as 'Fri 16:00 - Mon 08:00', or a map (recurrence, for), found ${showValue(issue.input)}`,
  },
);

const window = map(
  {
    deny: times.meta({ description: 'When the running system must not be changed.' }).exactOptional(),
    allow: times.meta({ description: 'When it may be changed; outside of all allowed times it must not.' }).exactOptional(),
    timezone: text('a time zone by its IANA name, such as Europe/Stockholm')
      .meta({ description: 'IANA name of the time zone. Default: UTC.' })
      .exactOptional(),
    reason: text('a reason').meta({ description: 'Shown to those who wait.' }).exactOptional(),
  },
  'One window: deny or allow.',
).transform(({ deny, allow, timezone = 'UTC', reason }, context): WindowPlan => {
  const refuse = (path: string[], message: string) => {
    context.addIssue({ code: 'custom', path, message });
    return z.NEVER;
  };
  const written = deny ?? allow;
  if (written === undefined || (deny !== undefined && allow !== undefined))
    return refuse([], `expected either deny or allow, found ${written === undefined ? 'none' : 'both'}`);
  const kind = deny === undefined ? 'allow' : 'deny';
  const common = { kind, timezone, ...(reason === undefined ? {} : { reason }) } as const;
  const plan: WindowPlan =
    typeof written === 'string'
      ? { ...common, weekly: written }
      : { ...common, recurrence: written.recurrence, durationMs: written.for };
  const problem = problemOfWindow(plan);
  return problem === undefined ? plan : refuse([isTimeZone(timezone) ? kind : 'timezone'], problem);
});

/** What a stage may say, and a service for all of its stages. */
export function stageSettings(kinds: Kinds) {
  return {
    change: orOff(change, 'repository, file, …').exactOptional(),
    dispatch: orOff(dispatch, 'repository, event').exactOptional(),
    approval: orOff(approval, 'from, required, …').exactOptional(),
    windows: z
      .array(window)
      .meta({ description: 'When the running system may be changed; rollbacks never wait. Default (and []): always.' })
      .exactOptional(),
    merge: z
      .enum(['off', 'manual', 'auto'])
      .meta({
        description:
          'off: the rollout ends once the change is proposed. manual: a person merges. auto: Landfall does, once it may. Default: off.',
      })
      .exactOptional(),
    mergeMethod: z
      .enum(['squash', 'merge', 'rebase'])
      .meta({ description: 'Default: the first of squash, merge and rebase that the repository allows.' })
      .exactOptional(),
    deploy: orWord('none', deploySchema(kinds), oneOf(kinds.deploys.map(({ kind }) => kind))).exactOptional(),
    watch: orOff(watch, 'http, tcp, docker, command, for, …').exactOptional(),
    rollback: z
      .enum(['auto', 'manual', 'off'])
      .meta({
        description:
          'When it turns out to be unhealthy. auto: back at once. manual: an operator decides. Default: auto with a watch or a deploy, else off.',
      })
      .exactOptional(),
  };
}
