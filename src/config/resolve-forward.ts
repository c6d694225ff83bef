import type { DispatchPlan, StagePlan } from '../domain/plan.ts';
import type { Complain, Path } from '../settings/problem.ts';
import { showValue } from '../settings/wording.ts';
import type { Kinds } from './kinds.ts';
import type { DefaultsInput, ServiceInput, StageInput } from './service-schema.ts';

type DispatchInput = Exclude<NonNullable<DefaultsInput['dispatch']>, 'off'>;

/** The build of Quay's is what its payload is about, not one of the tags. */
export function perOf({ per, payload }: DispatchInput): NonNullable<DispatchPlan['per']> {
  return per ?? (payload === 'quay' ? 'push' : 'tag');
}

/** Whether a stage, merged with all that holds for it, has whole pushes passed on in place of rollouts. */
export function isForwarding({ dispatch }: StageInput): boolean {
  return dispatch !== undefined && dispatch !== 'off' && perOf(dispatch) === 'push';
}

/** What only rollouts have, besides platforms and checks. Of the defaults it is left out; beside the dispatch itself somebody expects something of it. */
const ofRollouts = [
  'change',
  'approval',
  'windows',
  'merge',
  'mergeMethod',
  'deploy',
  'watch',
  'rollback',
  'decideWithin',
] as const;

/** What a service may not say whose pushes are passed on: it has one stage, and nothing is done in it but the dispatch. */
export function forwardingComplaints(
  input: ServiceInput,
  stages: readonly StageInput[],
  { checks }: Kinds,
  complain: Complain,
): void {
  if (stages.length > 1) {
    const path = input.stages === undefined ? ['dispatch'] : ['stages'];
    complain(path, `expected one stage beside a dispatch per push, found ${stages.length}: ${remedy('the others')}`);
  }
  const levels: readonly { readonly said: Partial<Record<string, unknown>>; readonly at: Path }[] = [
    { said: input, at: [] },
    ...(input.stages ?? []).map((said, index) => ({ said, at: ['stages', index] })),
  ];
  for (const { said, at } of levels) {
    for (const key of ['platforms', ...checks.map(({ kind }) => kind), ...ofRollouts].filter((word) =>
      asksForSomething(said[word]),
    )) {
      complain([...at, key], `expected no ${key} beside a dispatch per push, found one: ${remedy('it')}`);
    }
  }
}

function remedy(what: string): string {
  return `such a push is passed on at once, without any other step; leave ${what} out, or say per: tag in dispatch`;
}

function asksForSomething(value: unknown): boolean {
  if (value === undefined || value === 'off' || value === 'none') return false;
  return !Array.isArray(value) || value.length > 0;
}

/** A stage of which nothing is left but the dispatch. */
export function forwardingStage({ name, dispatch }: StageInput): StageInput {
  return { name, ...(dispatch !== undefined && { dispatch }) };
}

/** A dispatch goes to the repository that is named like the image, unless it names one. */
export function unnamedRepositoryComplaint(image: string, { dispatch }: StagePlan, complain: Complain): void {
  if (dispatch === undefined || dispatch.repository !== undefined || image.split('/').length === 3) return;
  complain(
    ['dispatch', 'repository'],
    `expected a GitHub repository as owner/name, found nothing, and ${showValue(image)} does not name one after its registry`,
  );
}
