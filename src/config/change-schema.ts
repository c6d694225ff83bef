import { z } from 'zod';
import { dispatchPayloads } from '../domain/plan.ts';
import { composeService, credentialsInUrl, githubRepository, text } from '../settings/scalars.ts';
import { map } from '../settings/wording.ts';

/** What a stage may say of its deployment repository. */

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
    repository: deploymentRepository
      .meta({
        description: 'owner/name is a repository of forge.github; a URL, or a path that begins with / or ., is plain git.',
      })
      .exactOptional(),
    base: text('a branch').meta({ description: 'The branch that is changed. Default: main.' }).exactOptional(),
    file: text('a file of the repository, from its root and without . or .. in between', /^(?!(?:.*\/)?\.{0,2}(?:\/|$)).*\S/)
      .meta({ description: 'The file that names the image; {service} and {stage} are filled in.' })
      .exactOptional(),
    services: z
      .array(composeService)
      .min(1)
      .meta({ description: "Services of a compose file whose image is set. The default, with the service's own name." })
      .exactOptional(),
    path: text('a YAML path such as spec.template.spec.containers[0].image')
      .meta({ description: 'Any path of a YAML file; {service} and {stage} are filled in.' })
      .exactOptional(),
    marker: text('the NAME of a line marked # landfall: NAME')
      .meta({ description: 'The line marked `# landfall: NAME`; {service} and {stage} are filled in.' })
      .exactOptional(),
    key: text('a key of a .env file')
      .meta({ description: 'A key of a .env file; {service} and {stage} are filled in.' })
      .exactOptional(),
    pin: z.enum(['tag@digest', 'tag', 'digest']).meta({ description: 'What is written. Default: tag@digest.' }).exactOptional(),
    value: z
      .enum(['reference', 'bare'])
      .meta({ description: 'A whole image reference (the default), or only what pin names, as for Helm.' })
      .exactOptional(),
    title: text()
      .meta({
        description:
          'Title of the pull request, with {service}, {stage}, {image}, {tag}, {digest}, {commit}, {sourceRepository}.',
      })
      .exactOptional(),
    body: text().meta({ description: 'Body of the pull request, with the same names in braces.' }).exactOptional(),
    labels: people,
    reviewers: people,
    assignees: people,
  },
  'The change that is proposed in the deployment repository.',
);

export const dispatch = map(
  {
    repository: githubRepository
      .meta({ description: "Default: the image's repository without its registry, as owner/name." })
      .exactOptional(),
    event: text('an event type such as image_published').exactOptional(),
    payload: z
      .enum(dispatchPayloads)
      .meta({ description: 'What the event carries. quay and image-push: fixed shapes. Default: landfall.' })
      .exactOptional(),
    per: z
      .enum(['tag', 'push'])
      .meta({
        description: 'push: once for all tags that were pushed together, without checks. Default: push for quay, else tag.',
      })
      .exactOptional(),
  },
  'A repository_dispatch event, sent before the change is proposed, or in place of everything else.',
);
