import { messageOf } from '../../domain/errors.ts';
import { hostTrouble } from '../kit/host-trouble.ts';
import { bringAsItRan } from './as-it-ran.ts';
import { isRefusal, refused } from './refusals.ts';
import { findServices, runningImages, type Service } from './services.ts';
import type { ComposeTarget, Deploying, Site } from './site.ts';
import type { Kept } from './stage-files.ts';
import { bringUp, type Up } from './up.ts';

export interface Attempt {
  readonly up: Up;
  readonly site: Site;
  /** What ran, where that is known. */
  readonly ran: Kept | undefined;
  /** The services as they were just before. */
  readonly services: readonly Service[];
}

/**
 * `docker compose up`, and what ran before again where the host is to blame that it failed: a taken port, a full disk, a missing network.
 * @throws Refusal `DeployRefused` where what ran before runs, or the host is to blame; `DeployFailed` where the image or its settings are
 */
export async function bringUpOrPutBack(deploying: Deploying, target: ComposeTarget, attempt: Attempt): Promise<void> {
  try {
    await bringUp(attempt.up);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    await judge(deploying, target, attempt, error);
    throw error;
  }
}

/** @throws Refusal `DeployRefused`; returns where the image is to blame */
async function judge(deploying: Deploying, target: ComposeTarget, attempt: Attempt, error: Error): Promise<void> {
  const { up, services, site } = attempt;
  const now = await findServices(deploying.docker, up.project, up.services);
  const ran = services.some(({ containers }) => containers.length > 0);
  if (ran && now.every((service, index) => isUntouched(service, services[index]))) {
    throw refused(`${error.message}; nothing was changed: what ran before runs on`, error);
  }
  const trouble = hostTrouble([error.message, ...now.flatMap(startErrors)].join('\n'));
  if (trouble === undefined) return;
  const blamed = `the host kept ${up.services.join(', ')} from starting, and not the image: ${trouble}`;
  if (!ran) throw refused(`${blamed}; mend that, then retry`, error);
  const after = await putBack(deploying, target, attempt);
  await site.files.writeProgress(undefined);
  throw refused(`${blamed}; ${after}; mend that, then retry`, error);
}

/** @returns what came of it, for people */
async function putBack(deploying: Deploying, target: ComposeTarget, { ran, services }: Attempt): Promise<string> {
  const before = runningImages(services, target.image);
  if (ran === undefined) return 'what ran before is NOT back, because nobody knows its settings: the service may be down';
  try {
    // Not to be cut short: nothing runs meanwhile.
    const { signal } = new AbortController();
    await bringAsItRan(deploying, target, { kept: ran, before, toDo: before.map(({ name }) => name), signal });
    return 'what ran before runs again';
  } catch (error) {
    return `what ran before could NOT be brought back, so the service may be down: ${messageOf(error)}`;
  }
}

function isUntouched({ containers }: Service, before: Service | undefined): boolean {
  const was = before?.containers ?? [];
  return (
    was.length === containers.length &&
    was.every(({ container: { Id, State } }) =>
      containers.some(({ container }) => container.Id === Id && container.State.Running === State.Running),
    )
  );
}

/** What Docker says of containers that it could not start. */
function startErrors({ containers }: Service): string[] {
  return containers.flatMap(({ container: { State } }) => (State.Status === 'created' && State.Error ? [State.Error] : []));
}
