import { resolve } from 'node:path';
import type { ChangePlan, ChangeTarget, DispatchPlan } from '../domain/plan.ts';
import { hasGitHub, needsGitHub } from '../settings/github.ts';
import type { Complain } from '../settings/problem.ts';
import { forgeOf } from './kinds.ts';
import { perOf } from './resolve-forward.ts';
import type { ServiceContext } from './service-context.ts';
import type { DefaultsInput } from './service-schema.ts';

type ChangeInput = Exclude<NonNullable<DefaultsInput['change']>, 'off'> & Pick<ChangePlan, 'merge' | 'mergeMethod'>;

export function resolveChange(change: ChangeInput, context: ServiceContext, complain: Complain): ChangePlan {
  const { repository = '', file = '', title, body } = change;
  if (repository === '')
    complain(['repository'], 'expected the deployment repository, found nothing here and in defaults.change');
  if (file === '') complain(['file'], 'expected the file that names the image, found nothing here and in defaults.change');
  const forge = forgeOf(repository, context.kinds);
  if (forge?.section !== undefined && !context.forges.includes(forge.kind))
    complain(['repository'], forge.section.needed(repository));
  return {
    repository: /^\.{1,2}(?:\/|$)/.test(repository) ? resolve(context.directory, repository) : repository,
    base: change.base ?? 'main',
    file,
    target: changeTarget(change, complain),
    pin: change.pin ?? 'tag@digest',
    value: change.value ?? 'reference',
    ...(title === undefined ? {} : { title }),
    ...(body === undefined ? {} : { body }),
    labels: change.labels ?? [],
    reviewers: change.reviewers ?? [],
    assignees: change.assignees ?? [],
    merge: change.merge,
    ...(change.mergeMethod === undefined ? {} : { mergeMethod: change.mergeMethod }),
  };
}

function changeTarget(
  { services, path, marker, key }: Omit<ChangeInput, 'merge' | 'mergeMethod'>,
  complain: Complain,
): ChangeTarget {
  const named = Object.entries({ services, path, marker, key }).flatMap(([word, value]) => (value === undefined ? [] : [word]));
  if (named.length > 1) complain([], `expected only one of services, path, marker and key, found ${named.join(' and ')}`);
  if (path !== undefined) return { kind: 'yaml', path };
  if (marker !== undefined) return { kind: 'marker', name: marker };
  if (key !== undefined) return { kind: 'env', key };
  return { kind: 'compose', services: services ?? ['{service}'] };
}

export function resolveDispatch(
  dispatch: Exclude<NonNullable<DefaultsInput['dispatch']>, 'off'>,
  context: ServiceContext,
  complain: Complain,
): DispatchPlan {
  const { repository, payload = 'landfall' } = dispatch;
  const event = dispatch.event ?? (payload === 'quay' ? 'QUAY_BUILD_SUCCESS' : '');
  const per = perOf(dispatch);
  if (repository === undefined && payload === 'landfall')
    complain(['repository'], 'expected a GitHub repository as owner/name, found nothing');
  else if (!hasGitHub(context)) complain(['repository'], repository === undefined ? neededByDispatch : needsGitHub(repository));
  if (event === '') complain(['event'], 'expected an event type such as image_published, found nothing');
  return {
    ...(repository !== undefined && { repository }),
    event,
    ...(payload !== 'landfall' && { payload }),
    ...(per === 'push' && { per }),
  };
}

const neededByDispatch = 'expected forge.github with token or app, because a dispatch goes to a repository at GitHub';
