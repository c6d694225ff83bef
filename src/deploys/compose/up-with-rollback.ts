import { messageOf } from '../../domain/errors.ts';
import { hostFailure } from '../kit/host-failure.ts';
import { rollBackDefinition } from './definition-rollback.ts';
import { isRefusal, refused } from './refusals.ts';
import { type DeployedService, findServices, runningImages } from './services.ts';
import type { ComposeContext, ComposeTarget, DeploySite } from './site.ts';
import type { StoredDefinition } from './stage-files.ts';
import { bringUp, type ComposeUp } from './up.ts';

export interface UpAttempt {
  readonly up: ComposeUp;
  readonly site: DeploySite;
  /** What ran, if that is known. */
  readonly ran: StoredDefinition | undefined;
  /** The services as they were just before. */
  readonly services: readonly DeployedService[];
}

/**
 * `docker compose up`, and a rollback if it failed because of the host: a taken port, a full disk, a missing network.
 * @throws Refusal `DeployRefused` if what ran before runs, or the host is to blame; `DeployFailed` if the image or its settings are
 */
export async function bringUpOrRollBack(context: ComposeContext, target: ComposeTarget, attempt: UpAttempt): Promise<void> {
  try {
    await bringUp(attempt.up);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    await refuseHostFailure(context, target, attempt, error);
    throw error;
  }
}

/** @throws Refusal `DeployRefused`; returns if the image is to blame */
async function refuseHostFailure(
  context: ComposeContext,
  target: ComposeTarget,
  attempt: UpAttempt,
  error: Error,
): Promise<void> {
  const { up, services, site } = attempt;
  const now = await findServices(context.docker, up.project, up.services);
  const ran = services.some(({ containers }) => containers.length > 0);
  if (ran && now.every((service, index) => isUntouched(service, services[index]))) {
    throw refused(`${error.message}; nothing was changed: what ran before runs on`, error);
  }
  const trouble = hostFailure([error.message, ...now.flatMap(startErrors)].join('\n'));
  if (trouble === undefined) return;
  const blamed = `the host kept ${up.services.join(', ')} from starting, and not the image: ${trouble}`;
  if (!ran) throw refused(`${blamed}; mend that, then retry`, error);
  const after = await rollBack(context, target, attempt);
  await site.files.writeProgress(undefined);
  throw refused(`${blamed}; ${after}; mend that, then retry`, error);
}

/** @returns what came of it, for people */
async function rollBack(context: ComposeContext, target: ComposeTarget, { ran, services }: UpAttempt): Promise<string> {
  const before = runningImages(services, target.image);
  if (ran === undefined) return 'what ran before is NOT back, because nobody knows its settings: the service may be down';
  try {
    // Cannot be cancelled: nothing runs meanwhile.
    const { signal } = new AbortController();
    await rollBackDefinition(context, target, { kept: ran, before, toDo: before.map(({ name }) => name), signal });
    return 'what ran before runs again';
  } catch (error) {
    return `what ran before could NOT be brought back, so the service may be down: ${messageOf(error)}`;
  }
}

function isUntouched({ containers }: DeployedService, before: DeployedService | undefined): boolean {
  const was = before?.containers ?? [];
  return (
    was.length === containers.length &&
    was.every(({ container: { Id, State } }) =>
      containers.some(({ container }) => container.Id === Id && container.State.Running === State.Running),
    )
  );
}

/** What Docker says of containers that it could not start. */
function startErrors({ containers }: DeployedService): string[] {
  return containers.flatMap(({ container: { State } }) => (State.Status === 'created' && State.Error ? [State.Error] : []));
}
