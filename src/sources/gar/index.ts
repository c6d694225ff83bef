import { z } from 'zod';
import { InvalidReference, isDigest, parseReference, writtenRepository } from '../../domain/image-reference.ts';
import { type Authenticity, authentic, refused } from '../../http/authentication.ts';
import { parseJson } from '../../http/json.ts';
import { byToken, refusedTokenInLog } from '../../http/oidc/token-authentication.ts';
import { createTokenVerifier, type VerifiedToken } from '../../http/oidc/token-verifier.ts';
import { malformed } from '../../http/problem.ts';
import { map } from '../../settings/wording.ts';
import { issuerUrl, textList } from '../event/settings.ts';
import { text } from '../kit/loose.ts';
import type { AuthenticRequest, ParsedRequest, PushedImage, Receiver } from '../kit/receiver.ts';
import { deliveryIdOf, printableLine } from '../kit/sender-text.ts';
import { defineSource, type SourceContext } from '../kit/source.ts';

const source = 'gar';
const path = '/webhook/gar';
const googleIssuer = 'https://accounts.google.com';

export type GarSettings = z.output<ReturnType<typeof settingsSchema>>;

/**
 * Notifications of Google's Artifact Registry (and of what was Container Registry), pushed by Pub/Sub with a token of Google's.
 * @see https://cloud.google.com/artifact-registry/docs/configure-notifications
 * @see https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
 */
export const garSource = defineSource({
  name: source,
  settings: () => settingsSchema(),
  create: (settings, context) => [createGarReceiver(settings, context)],
});

function settingsSchema() {
  return map(
    {
      audience: textList(
        'a text',
        'The audience of the push subscription; unless it names one, that is its endpoint, the URL of this path.',
      ),
      email: textList('an e-mail address', 'The service account of the push subscription.'),
      issuer: issuerUrl('whose tokens are taken in place of those of Google').exactOptional(),
    },
    'Artifact Registry, by a push subscription of Pub/Sub, on POST /webhook/gar.',
  );
}

export function createGarReceiver(
  { audience, email, issuer = googleIssuer }: GarSettings,
  { log, now = Date.now }: Pick<SourceContext, 'log'> & { readonly now?: () => number },
): Receiver {
  // Some of Google's tokens name it without the scheme.
  const aliases = issuer === googleIssuer ? ['accounts.google.com'] : [];
  const verify = createTokenVerifier({ issuers: [{ url: issuer, aliases }], audiences: audience, log, now });
  return {
    source,
    path,
    // What is unwrapped comes with the media type that its publisher gave it, and the registry gives none.
    mediaTypes: ['application/json', 'application/octet-stream', ''],
    mediaTypeAdvice: 'Let a push subscription of the topic gcr send here.',
    namesOneOfSeveralTags: false,
    challenge: 'Bearer realm="landfall"',
    authenticationAdvice:
      'Expected the header Authorization with a token of Google. Enable authentication of the push subscription, with the service account and the audience of receivers.gar.',
    authenticate: byToken({ verify, judge: (token) => judge(token, email), source, log }),
    refusedInLog: refusedTokenInLog,
    parse,
  };
}

/** Anybody with an account at Google can have a token for any audience: only the e-mail tells whose it is. */
function judge({ claims }: VerifiedToken, emails: readonly string[]): Authenticity {
  if (typeof claims.email !== 'string' || !emails.includes(claims.email))
    return refused('the token is refused: its e-mail is none of receivers.gar.email');
  return claims.email_verified === true ? authentic : refused('the token is refused: its e-mail is not verified');
}

const notificationSchema = z.object({ action: text, digest: text, tag: text });
const envelopeSchema = z.object({ message: z.object({ data: z.string(), messageId: text, message_id: text }) });
const unwrappedSchema = z.object({ action: z.string(), message: z.undefined().optional() });

function parse({ headers, body }: AuthenticRequest): ParsedRequest {
  const { notification, messageId } = unwrap(body, headers['x-goog-pubsub-message-id']);
  const deliveryId = messageId !== undefined && /^\d{1,40}$/.test(messageId) ? messageId : deliveryIdOf(messageId);
  const action = printableLine(notification.action, 20);
  const about = { event: 'notification', ...(action !== undefined && { action }), deliveryId };
  if (notification.action !== 'INSERT') return { ...about, images: [], ignored: 'expected the action INSERT' };
  const image = imageOf(notification);
  if (image === undefined) return { ...about, images: [], ignored: 'no tag was pushed' };
  return { ...about, images: [image] };
}

interface Unwrapped {
  readonly notification: z.infer<typeof notificationSchema>;
  readonly messageId?: string | undefined;
}

/** With its envelope, or without it if the subscription unwraps payloads. */
function unwrap(body: unknown, idInHead: string | string[] | undefined): Unwrapped {
  const envelope = envelopeSchema.safeParse(body);
  if (envelope.success) {
    const { data, messageId, message_id } = envelope.data.message;
    return { notification: readNotification(decode(data)), messageId: messageId ?? message_id };
  }
  if (!unwrappedSchema.safeParse(body).success) {
    throw malformed('Expected a message of Pub/Sub with message.data, or what it holds: action, digest and tag.');
  }
  return { notification: readNotification(body), messageId: typeof idInHead === 'string' ? idInHead : undefined };
}

function decode(data: string): unknown {
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(data)) throw malformed('Expected message.data in base64.');
  return parseJson(Buffer.from(data, 'base64'));
}

function readNotification(value: unknown): Unwrapped['notification'] {
  const notification = notificationSchema.safeParse(value);
  if (notification.success) return notification.data;
  throw malformed('Expected in message.data a JSON object with action, digest and tag.');
}

/** `tag` and `digest` are both whole references, such as `us-docker.pkg.dev/project/repository/app:1.0`. */
function imageOf({ tag: reference = '', digest: byDigest = '' }: Unwrapped['notification']): PushedImage | undefined {
  if (reference === '') return undefined;
  try {
    const { repository, tag } = parseReference(reference);
    if (tag === undefined) return undefined;
    const digest = byDigest.slice(byDigest.indexOf('@') + 1);
    const isOfIt = writtenRepository(byDigest) === writtenRepository(reference) && isDigest(digest);
    return { repository, tag, ...(isOfIt && { digest }) };
  } catch (error) {
    if (error instanceof InvalidReference)
      throw malformed('Expected in tag the name of an image, such as us-docker.pkg.dev/project/repository/app:1.0.');
    throw error;
  }
}
