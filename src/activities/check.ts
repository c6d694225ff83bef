import { Context } from '@temporalio/activity';
import type { Check } from '../checks/check.ts';
import type { CheckActivities, CheckInput } from '../contracts/activities/checks.ts';
import { bounded } from '../domain/evidence.ts';
import type { Checked } from '../domain/outcomes.ts';
import { withCleanUp } from '../platform/docker/clean-up.ts';
import { answering, currentRun, orCancelled } from './boundary.ts';
import type { Dependencies } from './dependencies.ts';

export function createChecks({ checks }: Pick<Dependencies, 'checks'>): CheckActivities {
  return Object.fromEntries([...checks].map(([kind, check]) => [`check:${kind}`, answering(createCheck(kind, check))]));
}

function createCheck(kind: string, { check }: Check): (input: CheckInput) => Promise<Checked> {
  return async ({ plan, image }) => {
    const settings = plan.checks.find((planned) => planned.kind === kind)?.settings;
    if (settings === undefined)
      throw new Error(`the plan of ${plan.service} has no check ${kind}, so it should not be asked for`);
    const { log } = Context.current();
    const checked = await orCancelled(`the check ${kind}`, (signal) =>
      withCleanUp(
        (what, error) => log.warn(`could not ${what} after the check ${kind}; the sweep removes it`, { error }),
        (later) => check({ plan, settings, image, run: currentRun(), signal, later }),
      ),
    );
    return { ...checked, evidence: bounded(checked.evidence) };
  };
}
