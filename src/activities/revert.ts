import { rollbackBranchOf } from '../domain/branch.ts';
import { Refusal } from '../domain/failures.ts';
import { code, inert, prose } from '../domain/inert-text.ts';
import type { ManifestRestored, ManifestValues } from '../domain/manifest-edit.ts';
import type { Proposal, RevertOutcome, VerifiedImage } from '../domain/outcomes.ts';
import type { ChangePlan, Plan, StagePlan } from '../domain/plan.ts';
import { mergeTitle, rollbackMessage } from '../domain/proposal-commit.ts';
import type { Forge } from '../forges/forge.ts';
import { restoreManifest } from '../platform/manifest-editor/index.ts';
import { baseOf, type CommittedFile, shown, writeBranch } from './change-branch.ts';

export interface RevertContext {
  readonly plan: Plan;
  readonly stage: StagePlan;
  readonly image: VerifiedImage;
  /** The one that is undone: it was merged. */
  readonly proposal: Proposal;
  readonly reason: string;
  readonly change: ChangePlan;
  readonly forge: Forge;
  readonly rollout: string;
}

/** Proposes the previous values of the change; everything else that people changed since is kept. */
export async function revert(context: RevertContext): Promise<Exclude<RevertOutcome, { kind: 'rate-limited' }>> {
  const { plan, stage, image, change, forge } = context;
  const values = valuesOf(context);
  const base = await baseOf(forge, change);
  const restored = await restore(context, base, values);
  if (restored.kind === 'unchanged') return { kind: 'unchanged', base: change.base, head: base.commit };
  const branch = rollbackBranchOf(plan.service, stage.name);
  const { head } = await writeBranch({
    forge,
    change,
    image,
    branch,
    base,
    edited: restored.text,
    message: rollbackMessage(plan.service, image, context.rollout),
    editForeign: async (_, refusal) => {
      throw await refusal();
    },
  });
  const proposal = await forge.openChange({
    repository: change.repository,
    base: change.base,
    branch,
    head,
    title: mergeTitle(plan.service, image, true),
    body: bodyOf(context, restored),
    labels: change.labels,
    // Nobody is asked: a rollback waits for no approval.
    reviewers: [],
    assignees: [],
  });
  await forge.reportChecks(change.repository, head, checksOf(plan));
  const { kind: _kind, text: _text, ...back } = restored;
  return { kind: 'proposed', proposal: { ...proposal, baseCommit: base.commit, ...back } };
}

function valuesOf({ proposal: { before, after, written, url } }: RevertContext): ManifestValues {
  if (before !== undefined && after !== undefined) return { before, after, ...(written && { written }) };
  throw new Refusal(
    'NothingBefore',
    `expected the proposal ${url} to know what stood there before, found one of an earlier version of Landfall: put the previous image back by hand`,
  );
}

async function restore(
  context: RevertContext,
  base: CommittedFile,
  values: ManifestValues,
): Promise<Exclude<ManifestRestored, { kind: 'changed' }>> {
  const { change, image } = context;
  let found: ManifestRestored;
  try {
    found = await restoreManifest(base.text, change, image, values);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw await movedOn(context, base, error.message, error);
  }
  if (found.kind !== 'changed') return found;
  throw await movedOn(context, base, `${found.place} says '${found.says}'`);
}

/** Names the commit that changed the file after us. */
async function movedOn(
  { change, forge, proposal }: RevertContext,
  base: CommittedFile,
  found: string,
  cause?: Error,
): Promise<Refusal> {
  const { repository, file } = change;
  const last = await forge.lastChange(repository, base.commit, file);
  const later = last === undefined ? '' : `, since ${last.sha.slice(0, 12)} of ${inert(last.author)}: ${inert(last.message)}`;
  return new Refusal(
    'BaseMovedOn',
    `expected ${file} on ${change.base} of ${shown(repository)} to say ${proposal.after?.join(', ') ?? 'ours'}, found that ${found}${later}; put the previous image back by hand, or leave it as it is now`,
    last === undefined ? [] : [last],
    cause === undefined ? {} : { cause },
  );
}

function bodyOf({ plan, stage, image, reason, proposal }: RevertContext, { before, after }: ManifestValues): string {
  const lines = after.map((value, index) => `- ${code(before[index] ?? '', 400)} → ${code(value, 400)}`);
  return [
    `## Rollback of ${code(plan.service)} in ${prose(stage.name)}`,
    '',
    `**Why:** ${prose(reason, 1_000)}`,
    '',
    `**Image that is undone:** ${code(`${image.repository}:${image.tag}`, 400)} ${code(image.digest)}, proposed in ${proposal.url}`,
    '',
    `**Puts back:**`,
    '',
    ...lines,
    '',
    '---',
    '',
    '_Proposed by Landfall. Only these values change: what else was committed since is kept._',
    '',
  ].join('\n');
}

/** Reports the required checks as passed: otherwise a branch that requires them would block every rollback. */
function checksOf({ checks }: Plan) {
  return ['verify', ...checks.map(({ kind }) => kind)].map((name) => ({
    context: `landfall/${name}`,
    state: 'success' as const,
    description: 'rollback to what was there before',
  }));
}
