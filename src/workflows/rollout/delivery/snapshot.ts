import { toldChanges } from '../../../domain/other-changes.ts';
import type { OtherChanges, Skipped, StageSnapshot } from '../../../domain/outcomes.ts';
import type { StepName } from '../../../domain/rollout-state.ts';
import type { Failure } from '../../failure.ts';
import type { StageRun } from '../stage-run.ts';
import { onHost } from '../steps/proxies.ts';
import { takeStep } from '../steps/take-step.ts';

/** What a deploy changes besides the image: what was found, and what an operator let through. */
export class OtherChangesConsent {
  #found: OtherChanges | undefined;
  #accepted: { readonly fingerprint: string; readonly by: string } | undefined;

  /** Fingerprint of the changes that were let through. */
  get accepted(): string | undefined {
    return this.#accepted?.fingerprint;
  }

  /** A failure because of other changes says which. @returns the failure */
  note(failure: Failure): Failure {
    const found = failure.type === 'OtherChanges' ? (failure.details as OtherChanges | undefined) : undefined;
    if (found !== undefined) this.#found = found;
    return failure;
  }

  /**
   * An operator who skips the failure says yes to these very changes.
   * @returns false where nothing was found that is not let through already
   */
  accept({ by, reason }: Skipped): boolean {
    if (this.#found === undefined || this.#found.fingerprint === this.accepted) return false;
    this.#accepted = { fingerprint: this.#found.fingerprint, by: `${by}: ${reason}` };
    return true;
  }

  /** `web: command changed (1a2b3c4d5e6f by Bob: ...), let through by ann: it is meant`; undefined where nothing comes along. */
  get text(): string | undefined {
    if (this.#found === undefined) return undefined;
    const isAccepted = this.#found.fingerprint === this.accepted;
    return `${toldChanges(this.#found)}${isAccepted ? `, let through by ${this.#accepted?.by}` : ''}`;
  }
}

const nothing: StageSnapshot = { kind: 'snapshot', running: [] };

/**
 * What a stage runs, and whether it is healthy, before anything changes.
 * @param step which people see blocked where nobody can tell
 * @param consent where a change is to come: what would be refused then is refused now, and an operator decides on what comes along
 */
export async function snapshot(run: StageRun, step: StepName, consent?: OtherChangesConsent): Promise<StageSnapshot> {
  const { stage } = run;
  if (stage.deploy === undefined && stage.watch === undefined) return nothing;
  const take = () => onHost(stage).snapshotStage({ ...run.input(), ...(consent !== undefined && foreseeing(consent)) });
  const instead = consent === undefined ? {} : { instead: (failure: Failure) => consent.note(failure) };
  for (;;) {
    const outcome = await takeStep(run, run.at(step), take, { continues: true, ...instead });
    if (outcome.kind !== 'skipped') return outcome;
    // Let through, it is asked once more, so that nothing else came meanwhile.
    if (!consent?.accept(outcome)) return nothing;
  }
}

function foreseeing({ accepted }: OtherChangesConsent) {
  return { foresee: true, ...(accepted !== undefined && { accepted }) };
}
