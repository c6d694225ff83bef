import { resolve } from 'node:path';
import { z } from 'zod';
import {
  type ChangedFile,
  type ChangePlan,
  type ChangeTarget,
  type DispatchPlan,
  dispatchPayloads,
  type StagePlan,
} from '../domain/plan.ts';
import { hasGitHub, needsGitHub } from '../settings/github.ts';
import { type Complain, type Complaint, type Path, within } from '../settings/problem.ts';
import { composeService, credentialsInUrl, githubRepository, text } from '../settings/scalars.ts';
import { expecting, map, optional } from '../settings/wording.ts';
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

const yamlPath = text('a YAML path such as spec.template.spec.containers[0].image');

/** What is said of one file: where it names the image, and what is written there. */
const changedFile = {
  services: optional(
    z.array(composeService).min(1),
    "Services of a compose file whose image is set. Default: the one with the service's own name, else the only one that uses the image.",
  ),
  path: optional(
    z.union([yamlPath, z.array(yamlPath).min(1)], expecting('a YAML path, or a list of them')),
    'Any path of a YAML file, or several; {service} and {stage} are filled in.',
  ),
  marker: optional(
    text('the NAME of a line marked # landfall: NAME'),
    'The line marked `# landfall: NAME`; {service} and {stage} are filled in.',
  ),
  key: optional(text('a key of a .env file'), 'A key of a .env file; {service} and {stage} are filled in.'),
  images: optional(
    z.literal(true),
    "Wherever the file names the service's image: a kustomization, values of Helm, a HelmRelease, an Application of Argo CD, manifests of Kubernetes.",
  ),
  pin: optional(z.enum(['tag@digest', 'tag', 'digest']), 'What is written. Default: tag@digest.'),
  value: optional(z.enum(['reference', 'bare']), 'A whole image reference (the default), or only what pin names, as for Helm.'),
};

const file = text('a file of the repository, from its root and without . or .. in between', /^(?!(?:.*\/)?\.{0,2}(?:\/|$)).*\S/);

/** More would be no change that a person reads. */
const mostFiles = 20;

export const change = map(
  {
    repository: optional(
      deploymentRepository,
      'owner/name is a repository of forge.github; a URL, or a path that begins with / or ., is plain git.',
    ),
    base: optional(text('a branch'), 'The branch that is changed. Default: main.'),
    file: optional(file, 'The file that names the image; {service} and {stage} are filled in.'),
    ...changedFile,
    files: optional(
      z
        .array(map({ file, ...changedFile }, 'One file of several.'))
        .min(1)
        .max(mostFiles),
      'Several files in one proposal, each with its place (services, path, …), pin and value; in place of file and its place.',
    ),
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

export function resolveChange(input: ChangeInput, context: FileContext, complain: Complain): ChangePlan {
  const { files, file = '', services, path, marker, key, images, pin = 'tag@digest', value = 'reference', ...rest } = input;
  const { repository = '' } = rest;
  if (repository === '')
    complain(['repository'], 'expected the deployment repository, found nothing here and in defaults.change');
  const forge = forgeOf(repository, context.kinds);
  if (forge?.section !== undefined && !context.forges.includes(forge.kind))
    complain(['repository'], forge.section.needed(repository));
  const single = { file, services, path, marker, key, images };
  if (files !== undefined && namedIn(single).length > 0)
    complain([], `expected either files, or file and its place, found files and ${namedIn(single).join(' and ')}`);
  const changed = (said: TargetInput & { readonly file: string }, ...where: Path) =>
    changedFileOf({ pin, value, ...said }, within(complain, ...where));
  const also = (files ?? []).slice(1).map((said, index) => changed(said, 'files', index + 1));
  return {
    base: 'main',
    labels: [],
    reviewers: [],
    assignees: [],
    ...rest,
    repository: /^\.{1,2}(?:\/|$)/.test(repository) ? resolve(context.directory, repository) : repository,
    ...(files?.[0] === undefined ? changed(single) : changed(files[0], 'files', 0)),
    ...(also.length > 0 && { also }),
  };
}

type TargetInput = { readonly [Key in 'services' | 'path' | 'marker' | 'key' | 'images']?: ChangeInput[Key] | undefined };

function namedIn(said: object): string[] {
  return Object.entries(said).flatMap(([word, value]) => (value === undefined || value === '' ? [] : [word]));
}

function changedFileOf(
  { file, pin, value, ...target }: Omit<ChangedFile, 'target'> & TargetInput,
  complain: Complain,
): ChangedFile {
  if (file === '') complain(['file'], 'expected the file that names the image, found nothing here and in defaults.change');
  const named = namedIn(target);
  if (named.length > 1) complain([], `expected only one of services, path, marker, key and images, found ${named.join(' and ')}`);
  if (target.images && value === 'bare')
    complain(['value'], 'expected reference beside images, which writes whatever the file has there, found bare');
  return { file, target: changeTarget(target), pin, value };
}

function changeTarget({ services, path, marker, key, images }: TargetInput): ChangeTarget {
  if (images) return { kind: 'images' };
  if (path !== undefined) return { kind: 'yaml', path };
  if (marker !== undefined) return { kind: 'marker', name: marker };
  if (key !== undefined) return { kind: 'env', key };
  return { kind: 'compose', ...(services === undefined ? { services: ['{service}'], orByImage: true } : { services }) };
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

/** Many deployment repositories have a workflow that makes a pull request of such an event. */
export function dispatchNotes(services: readonly { readonly stages: readonly StagePlan[] }[]): Complaint[] {
  return services.flatMap(({ stages }, index) => {
    const twice = stages.find(({ change, dispatch }) => change !== undefined && dispatch?.repository === change.repository);
    if (twice === undefined) return [];
    const message =
      `dispatch tells ${twice.change?.repository} of what Landfall proposes there itself: if a workflow there makes a pull request of ` +
      'that event, each push gets two; take that workflow away, or send the event to another repository';
    return [{ path: ['services', index], message }];
  });
}
