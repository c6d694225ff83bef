import { resolve } from 'node:path';
import { z } from 'zod';
import { type ChangePlan, type ChangeTarget, type DispatchPlan, dispatchPayloads } from '../domain/plan.ts';
import { hasGitHub, needsGitHub } from '../settings/github.ts';
import type { Complain } from '../settings/problem.ts';
import { composeService, credentialsInUrl, githubRepository, text } from '../settings/scalars.ts';
import { map, optional } from '../settings/wording.ts';
import { type FileContext, forgeOf } from './kinds.ts';

/** What a stage may say of its deployment repository, and what comes of it. */

const people = z.array(text('a name')).exactOptional();

/** A repository of a forge; credentials in the address would end in workflow histories. */
const deploymentRepository = text('owner/name (GitHub), or the URL or path of a git repository').refine(
  (value) => !credentialsInUrl.test(value),
  {
    error:
      "expected a URL without user, password or token, which workflow histories would keep: give the worker's git a credential helper, or an ssh key for ssh://git@host/path",
  },
);

export const change = map(
  {
    repository: optional(
      deploymentRepository,
      'owner/name is a repository of forge.github; a URL, or a path that begins with / or ., is plain git.',
    ),
    base: optional(text('a branch'), 'The branch that is changed. Default: main.'),
    file: optional(
      text('a file of the repository, from its root and without . or .. in between', /^(?!(?:.*\/)?\.{0,2}(?:\/|$)).*\S/),
      'The file that names the image; {service} and {stage} are filled in.',
    ),
    services: optional(
      z.array(composeService).min(1),
      "Services of a compose file whose image is set. The default, with the service's own name.",
    ),
    path: optional(
      text('a YAML path such as spec.template.spec.containers[0].image'),
      'Any path of a YAML file; {service} and {stage} are filled in.',
    ),
    marker: optional(
      text('the NAME of a line marked # landfall: NAME'),
      'The line marked `# landfall: NAME`; {service} and {stage} are filled in.',
    ),
    key: optional(text('a key of a .env file'), 'A key of a .env file; {service} and {stage} are filled in.'),
    pin: optional(z.enum(['tag@digest', 'tag', 'digest']), 'What is written. Default: tag@digest.'),
    value: optional(z.enum(['reference', 'bare']), 'A whole image reference (the default), or only what pin names, as for Helm.'),
    title: optional(
      text(),
      'Title of the pull request, with {service}, {stage}, {image}, {tag}, {digest}, {commit}, {sourceRepository}.',
    ),
    body: optional(text(), 'Body of the pull request, with the same names in braces.'),
    labels: people,
    reviewers: people,
    assignees: people,
  },
  'The change that is proposed in the deployment repository.',
);

type ChangeInput = z.output<typeof change> & Pick<ChangePlan, 'merge' | 'mergeMethod'>;

export function resolveChange(
  { services, path, marker, key, ...input }: ChangeInput,
  context: FileContext,
  complain: Complain,
): ChangePlan {
  const { repository = '', file = '' } = input;
  if (repository === '')
    complain(['repository'], 'expected the deployment repository, found nothing here and in defaults.change');
  if (file === '') complain(['file'], 'expected the file that names the image, found nothing here and in defaults.change');
  const forge = forgeOf(repository, context.kinds);
  if (forge?.section !== undefined && !context.forges.includes(forge.kind))
    complain(['repository'], forge.section.needed(repository));
  return {
    base: 'main',
    pin: 'tag@digest',
    value: 'reference',
    labels: [],
    reviewers: [],
    assignees: [],
    ...input,
    repository: /^\.{1,2}(?:\/|$)/.test(repository) ? resolve(context.directory, repository) : repository,
    file,
    target: changeTarget({ services, path, marker, key }, complain),
  };
}

type TargetInput = { readonly [Key in 'services' | 'path' | 'marker' | 'key']: ChangeInput[Key] | undefined };

function changeTarget(said: TargetInput, complain: Complain): ChangeTarget {
  const { services = ['{service}'], path, marker, key } = said;
  const named = Object.entries(said).flatMap(([word, value]) => (value === undefined ? [] : [word]));
  if (named.length > 1) complain([], `expected only one of services, path, marker and key, found ${named.join(' and ')}`);
  if (path !== undefined) return { kind: 'yaml', path };
  if (marker !== undefined) return { kind: 'marker', name: marker };
  return key === undefined ? { kind: 'compose', services } : { kind: 'env', key };
}

export const dispatch = map(
  {
    repository: optional(githubRepository, "Default: the image's repository without its registry, as owner/name."),
    event: text('an event type such as image_published').exactOptional(),
    payload: optional(z.enum(dispatchPayloads), 'What the event carries. quay and image-push: fixed shapes. Default: landfall.'),
    per: optional(
      z.enum(['tag', 'push']),
      'push: once for all tags that were pushed together, without checks. Default: push for quay, else tag.',
    ),
  },
  'A repository_dispatch event, sent before the change is proposed, or in place of everything else.',
);

type DispatchInput = z.output<typeof dispatch>;

/** Whether whole pushes are passed on: a build of Quay's is what its payload is about, not one of the tags. */
export function isPerPush({ payload, per = payload === 'quay' ? 'push' : 'tag' }: DispatchInput): boolean {
  return per === 'push';
}

export function resolveDispatch(dispatch: DispatchInput, context: FileContext, complain: Complain): DispatchPlan {
  const { repository, payload = 'landfall', event = payload === 'quay' ? 'QUAY_BUILD_SUCCESS' : '' } = dispatch;
  if (repository === undefined && payload === 'landfall')
    complain(['repository'], 'expected a GitHub repository as owner/name, found nothing');
  else if (!hasGitHub(context)) complain(['repository'], repository === undefined ? neededByDispatch : needsGitHub(repository));
  if (event === '') complain(['event'], 'expected an event type such as image_published, found nothing');
  return {
    ...(repository !== undefined && { repository }),
    event,
    ...(payload !== 'landfall' && { payload }),
    ...(isPerPush(dispatch) && { per: 'push' as const }),
  };
}

const neededByDispatch = 'expected forge.github with token or app, because a dispatch goes to a repository at GitHub';
