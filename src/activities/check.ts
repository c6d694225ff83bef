import { Context } from '@temporalio/activity';
import type { Check } from '../checks/check.ts';
import type { CheckActivities, CheckInput } from '../contracts/activities/checks.ts';
import { bounded } from '../domain/evidence.ts';
import type { Checked, Superseded } from '../domain/outcomes.ts';
import { withCleanUp } from '../platform/docker/clean-up.ts';
import { answering, currentRun, orCancelled } from './boundary.ts';
import type { Dependencies } from './dependencies.ts';
import { type AskSuperseded, createAskSuperseded } from './superseded.ts';

/** @param client asked before each check whether it still matters; absent: it does */
export function createChecks({
  checks,
  client,
}: Pick<Dependencies, 'checks'> & Partial<Pick<Dependencies, 'client'>>): CheckActivities {
  const askSuperseded = client && createAskSuperseded(client);
  return Object.fromEntries(
    [...checks].map(([kind, check]) => [`check:${kind}`, answering(createCheck(kind, check, askSuperseded))]),
  );
}

function createCheck(kind: string, { check }: Check, askSuperseded: AskSuperseded | undefined) {
  return async (input: CheckInput): Promise<Checked | Superseded> => {
    const superseded = await askSuperseded?.(input);
    if (superseded !== undefined) return superseded;
    const { plan, image } = input;
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
