import type { ApprovalPlan, Approver, ChangePlan, StagePlan } from '../domain/plan.ts';
import { type Complain, within } from '../settings/problem.ts';
import { forgeOf } from './kinds.ts';
import { resolveChange, resolveDispatch } from './resolve-change.ts';
import { resolveDeploy } from './resolve-deploy.ts';
import { resolveWatch } from './resolve-watch.ts';
import type { ServiceContext, StageContext } from './service-context.ts';
import type { StageInput } from './service-schema.ts';

const day = 86_400_000;

/** A stage with what its service and the defaults say for it. */
export function resolveStage(input: StageInput, context: ServiceContext, complain: Complain): StagePlan {
  const { name, windows = [] } = input;
  const dispatch = on(input.dispatch);
  const approval = on(input.approval);
  const deploy = input.deploy === 'none' ? undefined : input.deploy;
  const watch = on(input.watch);
  const change = on(input.change);
  const changed =
    change === undefined ? {} : { change: resolveChange({ ...change, ...mergeOf(input) }, context, within(complain, 'change')) };
  const inside: StageContext = { ...context, ...changed, stage: name };
  mergeComplaints(input, complain);
  const deployed = deploy === undefined ? undefined : resolveDeploy(deploy, inside, within(complain, 'deploy'));
  const rollback = input.rollback ?? (watch === undefined && deploy === undefined ? 'off' : 'auto');
  return {
    name,
    ...changed,
    ...(dispatch === undefined ? {} : { dispatch: resolveDispatch(dispatch, context, within(complain, 'dispatch')) }),
    ...(approval === undefined ? {} : { approval: resolveApproval(approval, inside, within(complain, 'approval')) }),
    ...(windows.length === 0 ? {} : { windows }),
    ...(deployed === undefined ? {} : { deploy: deployed }),
    ...(watch === undefined ? {} : { watch: resolveWatch(watch, deploy, inside, within(complain, 'watch')) }),
    rollback,
  };
}

function mergeOf({ merge = 'off', mergeMethod }: StageInput): Pick<ChangePlan, 'merge' | 'mergeMethod'> {
  return { merge, ...(mergeMethod === undefined ? {} : { mergeMethod }) };
}

function on<Settings>(setting: Settings | 'off' | undefined): Settings | undefined {
  return setting === 'off' ? undefined : setting;
}

function mergeComplaints({ merge, change, deploy, watch }: StageInput, complain: Complain): void {
  const hasChange = change !== undefined && change !== 'off';
  // `change: off` says it all, also beside a `merge` that holds for the other services.
  if (merge !== undefined && merge !== 'off' && change === undefined)
    complain(['merge'], `expected a change beside merge: ${merge} (or merge: off), found none: there is nothing to merge`);
  if (merge !== undefined || !hasChange) return;
  const useless =
    deploy !== undefined && deploy !== 'none' ? 'deploy' : watch !== undefined && watch !== 'off' ? 'watch' : undefined;
  if (useless !== undefined)
    complain(
      [useless],
      `expected merge: auto or manual beside change and ${useless}, found nothing: without it the rollout ends once the change is proposed (merge: off says that this is meant)`,
    );
}

type ApprovalInput = Exclude<NonNullable<StageInput['approval']>, 'off'>;

function resolveApproval(approval: ApprovalInput, context: StageContext, complain: Complain): ApprovalPlan {
  const { from = [], required = 1, verified = false } = approval;
  if (from.length === 0) complain(['from'], 'expected the names of operators who may approve, found nothing');
  else if (required > from.length)
    complain(['required'], `expected at most ${from.length}, as many as may approve (from), found ${required}`);
  return {
    from: from.map((name, index) =>
      approver(name, from.indexOf(name) < index, verified, context, within(complain, 'from', index)),
    ),
    required,
    withinMs: approval.within ?? day,
    selfApproval: approval.selfApproval ?? true,
    verified,
  };
}

function approver(
  name: string,
  isRepeated: boolean,
  verified: boolean,
  { kinds, operators, change }: StageContext,
  complain: Complain,
): Approver {
  const isReviewed = change !== undefined && forgeOf(change.repository, kinds)?.reviews === true;
  const operator = operators?.find((entry) => entry.name === name);
  if (operators !== undefined) {
    if (isRepeated) complain([], `expected each name once, found '${name}' again`);
    else if (operator === undefined)
      complain([], `expected the name of one of the operators, found '${name}'${known(operators)}`);
    else if (!operator.roles.includes('approve'))
      complain([], `expected an operator with the role approve, found '${name}' without it`);
    else if (verified && operator.token === undefined && operator.github === undefined)
      complain([], `expected an operator with token or github, because verified is true, found '${name}' with neither of them`);
    else if (verified && operator.token === undefined && !isReviewed)
      complain(
        [],
        `expected an operator with token, because verified is true and this stage has no pull request to review, found '${name}' without it`,
      );
  }
  return { name, ...(operator?.github === undefined ? {} : { github: operator.github }) };
}

function known(operators: readonly { readonly name: string }[]): string {
  return operators.length === 0 ? ', and no operators at all' : ` (there are ${operators.map(({ name }) => name).join(', ')})`;
}
