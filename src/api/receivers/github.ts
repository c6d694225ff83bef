import type { IncomingHttpHeaders } from 'node:http';
import type { ImagePush } from '../../domain/image-push.ts';
import { malformed } from '../problem.ts';
import { readPackageEvent } from './github-package.ts';
import { progressEvents, readProgressEvent } from './github-progress.ts';
import type { ParsedRequest, ReceivedRequest, Receiver } from './receiver.ts';
import { type ReadSecrets, requireSecrets, signedByOneOf } from './secrets.ts';
import { deliveryIdOf } from './sender-text.ts';

export interface GithubSettings {
  /** Any of them verifies a request, so that a secret can be changed without losing one. */
  readonly secrets: ReadSecrets;
}

const source = 'github';
/** Repository and organization webhooks send `package`, those of GitHub Apps `registry_package`; the content is the same. */
const packageEvents = ['package', 'registry_package'];

/**
 * Webhooks of GitHub: packages in its container registry, and what moves in deployment repositories.
 * @throws Error without a secret
 * @see https://docs.github.com/webhooks/webhook-events-and-payloads#package
 */
export function createGithubReceiver(settings: GithubSettings): Receiver {
  const secrets = requireSecrets(settings.secrets, 'receivers.github.secrets');
  return {
    source,
    path: '/webhook/image-published',
    mediaTypes: ['application/json'],
    mediaTypeAdvice: 'Choose the content type application/json in the settings of the webhook.',
    namesOneOfSeveralTags: true,
    challenge: 'HMAC-SHA256 header="X-Hub-Signature-256"',
    authenticationAdvice:
      'Expected the header X-Hub-Signature-256 with the signature of the body. Set the same secret in the settings of the webhook and in receivers.github.secrets.',
    authenticate: (headers, body) => isSigned(secrets(), headers, body),
    parse,
  };
}

function isSigned(secrets: readonly string[], headers: IncomingHttpHeaders, body: Buffer): boolean {
  const header = headers['x-hub-signature-256'];
  if (typeof header !== 'string' || !header.startsWith('sha256=')) return false;
  return signedByOneOf(secrets, body, header.slice('sha256='.length));
}

function parse({ headers, body, receivedAt }: ReceivedRequest): ParsedRequest {
  const event = headers['x-github-event'];
  if (typeof event !== 'string' || !/^[a-z_]{1,60}$/.test(event)) {
    throw malformed('Expected the header X-GitHub-Event with the name of the event.');
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw malformed('Expected a JSON object.');
  const delivery = headers['x-github-delivery'];
  const deliveryId = deliveryIdOf(typeof delivery === 'string' ? delivery : undefined);
  const about = { event, deliveryId };
  if (event === 'ping') return { ...about, pushes: [], ignored: 'a ping: the webhook is set up and its secret is right' };
  if (packageEvents.includes(event)) return { ...about, ...pushesOf(event, body, { deliveryId, receivedAt }) };
  const progress = readProgressEvent(event, body);
  if (progress !== undefined) return { ...about, pushes: [], ...progress };
  const expected = `${packageEvents.join(' or ')}, and of deployment repositories ${progressEvents.join(', ')}`;
  return { ...about, pushes: [], ignored: `expected the events ${expected}` };
}

function pushesOf(
  event: string,
  body: object,
  delivery: Pick<ImagePush, 'deliveryId' | 'receivedAt'>,
): Pick<ParsedRequest, 'action' | 'pushes' | 'ignored'> {
  const read = readPackageEvent(event, body);
  const action = read.action === undefined ? {} : { action: read.action };
  if ('ignored' in read) return { ...action, pushes: [], ignored: read.ignored };
  return { ...action, pushes: [{ source, ...delivery, ...read.image }] };
}
