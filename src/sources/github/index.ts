import { z } from 'zod';
import { malformed } from '../../http/problem.ts';
import { text } from '../../settings/scalars.ts';
import { map } from '../../settings/wording.ts';
import { bySignature } from '../kit/authentication.ts';
import { requireObject } from '../kit/json-object.ts';
import type { AuthenticRequest, ParsedRequest, Receiver } from '../kit/receiver.ts';
import type { ReadSecrets } from '../kit/secrets.ts';
import { deliveryIdOf } from '../kit/sender-text.ts';
import { readSecrets, secretList } from '../kit/settings.ts';
import { defineSource } from '../kit/source.ts';
import { readDispatchEvent, usualDispatch } from './dispatch.ts';
import { readPackageEvent } from './package.ts';
import { progressEvents, readProgressEvent } from './progress.ts';
import { type PushingWorkflow, pushingWorkflows, readWorkflowRunEvent } from './workflow-run.ts';

const source = 'github';
/** Repository and organization webhooks send `package`, those of GitHub Apps `registry_package`; the content is the same. */
const packageEvents = ['package', 'registry_package'];
/** Every event that something can follow from. */
const events: readonly string[] = [...packageEvents, 'repository_dispatch', 'workflow_run', ...progressEvents];
const path = '/webhook/image-published';

export interface GithubReading {
  /** Names of the dispatches that tell of images; absent: `image_published`. */
  readonly dispatches?: readonly string[];
  /** The workflows that push images; absent: runs of workflows say nothing. */
  readonly workflows?: readonly PushingWorkflow[];
}

/**
 * Webhooks of GitHub: packages in its container registry, and what moves in deployment repositories.
 * @see https://docs.github.com/webhooks/webhook-events-and-payloads#package
 */
export const githubSource = defineSource({
  name: source,
  settings: (check) =>
    map(
      {
        secrets: secretList(check, 'The secret of the webhook.'),
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
  create({ secrets, ...reading }, context) {
    return [createGithubReceiver(readSecrets(secrets, context.secrets, 'receivers.github.secrets'), reading)];
  },
});

export function createGithubReceiver(secrets: ReadSecrets, reading: GithubReading = {}): Receiver {
  return {
    source,
    path,
    mediaTypes: ['application/json'],
    mediaTypeAdvice: 'Choose the content type application/json in the settings of the webhook.',
    namesOneOfSeveralTags: true,
    challenge: 'HMAC-SHA256 header="X-Hub-Signature-256"',
    authenticationAdvice:
      'Expected the header X-Hub-Signature-256 with the signature of the body. Set the same secret in the settings of the webhook and in receivers.github.secrets.',
    shownHeaders: ['event', 'delivery', 'hook-id', 'hook-installation-target-type'].map((name) => `x-github-${name}`),
    authenticate: bySignature(secrets, { header: 'X-Hub-Signature-256', prefix: 'sha256=' }),
    parse: (request) => parse(request, reading),
  };
}

function parse({ headers, body }: AuthenticRequest, reading: GithubReading): ParsedRequest {
  const event = headers['x-github-event'];
  if (typeof event !== 'string' || !/^[a-z_]{1,60}$/.test(event)) {
    throw malformed('Expected the header X-GitHub-Event with the name of the event.');
  }
  const payload = requireObject(body);
  const delivery = headers['x-github-delivery'];
  const deliveryId = deliveryIdOf(typeof delivery === 'string' ? delivery : undefined);
  return { event, deliveryId, images: [], ...readEvent(event, payload, reading) };
}

const expectedEvents = `${packageEvents.join(' or ')}, repository_dispatch, workflow_run, and of deployment repositories ${progressEvents.join(', ')}`;

function readEvent(event: string, body: object, reading: GithubReading): Partial<ParsedRequest> {
  if (event === 'ping') return { ignored: 'a ping: the webhook is set up and its secret is right' };
  if (event === 'repository_dispatch') return readDispatchEvent(body, reading.dispatches ?? [usualDispatch]);
  if (event === 'workflow_run') return readWorkflowRunEvent(body, reading.workflows ?? []);
  if (packageEvents.includes(event)) return readPackageEvent(event, body);
  return readProgressEvent(event, body) ?? { ignored: `expected the events ${expectedEvents}` };
}
