import assert from 'node:assert/strict';
import { ApplicationFailure, type Info } from '@temporalio/activity';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';

/** Runs an activity as a worker does, where it is scheduled now unless `info` says otherwise. */
export function runActivity<Input, Outcome>(
  activity: (input: Input) => Promise<Outcome>,
  input: Input,
  info: Partial<Info> = {},
): Promise<Outcome> {
  // Without the worker's warning for each failure: tests look at the failures themselves.
  const environment = new MockActivityEnvironment(
    { scheduledTimestampMs: Date.now(), ...info },
    { logger: new DefaultLogger('ERROR') },
  );
  return environment.run(activity, input);
}

/** The failure that an activity ends with. */
export async function failureOf(attempt: Promise<unknown>): Promise<ApplicationFailure> {
  const error = await attempt.then(
    (outcome) => assert.fail(`expected a failure, found ${JSON.stringify(outcome)}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof ApplicationFailure, String(error));
  return error;
}
