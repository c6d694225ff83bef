import { z } from 'zod';
import { registryOf } from '../../domain/image-reference.ts';
import { malformed } from '../../http/problem.ts';
import { text } from '../../settings/scalars.ts';
import { map } from '../../settings/wording.ts';
import { allowedImages, imagesSetting, ofServiceOrPrivate, privateRegistries } from '../kit/allowed-images.ts';
import { bySignature } from '../kit/authentication.ts';
import { readPushEvent } from '../kit/commits.ts';
import { deliveryIdOf, headerIn, requireObject } from '../kit/reading.ts';
import { secretList } from '../kit/settings.ts';
import { type AuthenticRequest, defineSource, type ParsedRequest } from '../kit/source.ts';
import { readDispatchEvent } from './dispatch.ts';
import { readPackageEvent } from './package.ts';
import { progressEvents, readProgressEvent } from './progress.ts';
import { type PushingWorkflow, pushingWorkflows, readWorkflowRunEvent } from './workflow-run.ts';

/** Repository and organization webhooks send `package`, those of GitHub Apps `registry_package`; the content is the same. */
const packageEvents = ['package', 'registry_package'];
/** Every event that something can follow from. */
const events: readonly string[] = [...packageEvents, 'push', 'repository_dispatch', 'workflow_run', ...progressEvents];
const path = '/webhook/image-published';

interface GithubReading {
  /** Names of the dispatches that tell of images; Landfall's own are called so too. Default: `image_published`. */
  readonly dispatches?: readonly string[];
  /** The workflows that push images; absent: runs of workflows say nothing. */
  readonly workflows?: readonly PushingWorkflow[];
}

/**
 * Webhooks of GitHub: packages in its container registry, and what moves in deployment repositories.
 * @see https://docs.github.com/webhooks/webhook-events-and-payloads#package
 */
export const githubSource = defineSource({
  name: 'github',
  settings: (check) =>
    map(
      {
        secrets: secretList(check, 'The secret of the webhook.'),
        images: imagesSetting(`ghcr.io and those of workflows, and ${privateRegistries}`),
        dispatches: z
          .array(text('the name of a dispatch, such as image_published'))
          .min(1)
          .meta({ description: 'Which repository_dispatch events tell of images. Default: [image_published].' })
          .exactOptional(),
        workflows: pushingWorkflows
          .meta({ description: 'Workflows after whose success the followed tags of the image are looked up.' })
          .exactOptional(),
      },
      `GitHub webhooks on POST ${path}.`,
    ),
  example: '{ secrets: [env:WEBHOOK_SECRET] }',
  gitHubWebhooks: { path, events },
  allowedImages({ images, workflows = [] }) {
    const allowed = allowedImages(images, ofServiceOrPrivate('github'));
    // The images of workflows are named beside them.
    const pushed = workflows.flatMap(({ image }) => image ?? []);
    return [
      {
        path: [],
        allowed: {
          includes: (repository) => pushed.includes(repository) || allowed.includes(repository),
          standingOf: (host) => (pushed.some((image) => registryOf(image) === host) ? 'own' : allowed.standingOf(host)),
        },
      },
    ];
  },
  create: ({ secrets, ...reading }, context) => [
    {
      path,
      mediaTypeAdvice: 'Choose the content type application/json in the settings of the webhook.',
      namesOneOfSeveralTags: true,
      authenticationAdvice:
        'Expected the header X-Hub-Signature-256 with the signature of the body. Set the same secret in the settings of the webhook and in receivers.github.secrets.',
      shownHeaders: ['event', 'delivery', 'hook-id', 'hook-installation-target-type'].map((name) => `x-github-${name}`),
      ...bySignature(context.read(secrets), { header: 'X-Hub-Signature-256', prefix: 'sha256=' }),
      parse: (request) => parse(request, reading),
    },
  ],
});

function parse({ headers, body }: AuthenticRequest, reading: GithubReading): ParsedRequest {
  const event = headerIn(headers, 'x-github-event') ?? '';
  if (!/^[a-z_]{1,60}$/.test(event)) throw malformed('Expected the header X-GitHub-Event with the name of the event.');
  const payload = requireObject(body);
  const deliveryId = deliveryIdOf(headerIn(headers, 'x-github-delivery'));
  return { event, deliveryId, images: [], ...readEvent(event, payload, reading) };
}

const expectedEvents = `${packageEvents.join(' or ')}, push, repository_dispatch, workflow_run, and of deployment repositories ${progressEvents.join(', ')}`;

function readEvent(event: string, body: object, reading: GithubReading): Partial<ParsedRequest> {
  if (event === 'ping') return { ignored: 'a ping: the webhook is set up and its secret is right' };
  if (event === 'repository_dispatch') return readDispatchEvent(body, reading.dispatches ?? ['image_published']);
  if (event === 'push') return readPushEvent(body);
  if (event === 'workflow_run') return readWorkflowRunEvent(body, reading.workflows ?? []);
  // It has the ids and times of the version that was pushed.
  if (packageEvents.includes(event)) return { ...readPackageEvent(event, body), isOnlyOnce: true };
  return readProgressEvent(event, body) ?? { ignored: `expected the events ${expectedEvents}` };
}
