import { z } from 'zod';
import { InvalidReference, parseReference, writtenRepository } from '../../domain/image-reference.ts';
import { authentic, refused } from '../../http/authentication.ts';
import { parseJson } from '../../http/body.ts';
import { byToken } from '../../http/oidc/token-verifier.ts';
import { malformed } from '../../http/problem.ts';
import { map } from '../../settings/wording.ts';
import { allowedImages, imagesSetting, ofService } from '../kit/allowed-images.ts';
import { deliveryIdOf, digestIn, headerIn, present, printableLine, texts } from '../kit/reading.ts';
import { issuerUrl, textList } from '../kit/settings.ts';
import { type AuthenticRequest, defineSource, type ParsedRequest, type PushedImage } from '../kit/source.ts';

const googleIssuer = 'https://accounts.google.com';

const garSettings = map(
  {
    audience: textList(
      'a text',
      'The audience of the push subscription; unless it names one, that is its endpoint, the URL of this path.',
    ),
    images: imagesSetting('those of registries of Google (REGION-docker.pkg.dev, gcr.io)'),
    email: textList('an e-mail address', 'The service account of the push subscription.'),
    issuer: issuerUrl('whose tokens are taken in place of those of Google').exactOptional(),
  },
  'Artifact Registry, by a push subscription of Pub/Sub, on POST /webhook/gar.',
);
export type GarSettings = z.output<typeof garSettings>;

/**
 * Notifications of Google's Artifact Registry (and of what was Container Registry), pushed by Pub/Sub with a token of Google's.
 * @see https://cloud.google.com/artifact-registry/docs/configure-notifications
 * @see https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
 */
export const garSource = defineSource({
  name: 'gar',
  settings: () => garSettings,
  allowedImages: ({ images }) => [{ path: [], allowed: allowedImages(images, ofService('gar')) }],
  create: ({ audience, email, issuer = googleIssuer }, { log, now }) => [
    {
      // What is unwrapped comes with the media type that its publisher gave it, and the registry gives none.
      mediaTypes: ['application/json', 'application/octet-stream', ''],
      mediaTypeAdvice: 'Let a push subscription of the topic gcr send here.',
      authenticationAdvice:
        'Expected the header Authorization with a token of Google. Enable authentication of the push subscription, with the service account and the audience of receivers.gar.',
      ...byToken({
        // Some of Google's tokens name it without the scheme.
        issuers: [{ url: issuer, aliases: issuer === googleIssuer ? ['accounts.google.com'] : [] }],
        audiences: audience,
        // Anybody with an account at Google can have a token for any audience: only the e-mail tells whose it is.
        judge({ claims }) {
          if (typeof claims.email !== 'string' || !email.includes(claims.email))
            return refused('the token is refused: its e-mail is none of receivers.gar.email');
          return claims.email_verified === true ? authentic : refused('the token is refused: its e-mail is not verified');
        },
        source: 'gar',
        log,
        now,
      }),
      parse,
    },
  ],
});

const notificationSchema = z.object(texts('action', 'digest', 'tag'));
const envelopeSchema = z.object({ message: z.object({ data: z.string(), ...texts('messageId', 'message_id') }) });
const unwrappedSchema = z.object({ action: z.string(), message: z.undefined().optional() });

function parse({ headers, body }: AuthenticRequest): ParsedRequest {
  const { value, messageId } = unwrap(body, headerIn(headers, 'x-goog-pubsub-message-id'));
  const notification = notificationSchema.safeParse(value).data;
  if (notification === undefined) throw malformed('Expected in message.data a JSON object with action, digest and tag.');
  const deliveryId = messageId !== undefined && /^\d{1,40}$/.test(messageId) ? messageId : deliveryIdOf(messageId);
  const about = { event: 'notification', ...present({ action: printableLine(notification.action, 20) }), deliveryId };
  if (notification.action !== 'INSERT') return { ...about, images: [], ignored: 'expected the action INSERT' };
  const image = imageOf(notification);
  if (image === undefined) return { ...about, images: [], ignored: 'no tag was pushed' };
  return { ...about, images: [image] };
}

/** With its envelope, or without it if the subscription unwraps payloads. */
function unwrap(body: unknown, idInHead: string | undefined): { value: unknown; messageId: string | undefined } {
  const envelope = envelopeSchema.safeParse(body);
  if (envelope.success) {
    const { data, messageId, message_id } = envelope.data.message;
    if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(data)) throw malformed('Expected message.data in base64.');
    return { value: parseJson(Buffer.from(data, 'base64')), messageId: messageId ?? message_id };
  }
  if (!unwrappedSchema.safeParse(body).success) {
    throw malformed('Expected a message of Pub/Sub with message.data, or what it holds: action, digest and tag.');
  }
  return { value: body, messageId: idInHead };
}

/** `tag` and `digest` are both whole references, such as `us-docker.pkg.dev/project/repository/app:1.0`. */
function imageOf({ tag: reference = '', digest: byDigest = '' }: z.infer<typeof notificationSchema>): PushedImage | undefined {
  if (reference === '') return undefined;
  try {
    const { repository, tag } = parseReference(reference);
    if (tag === undefined) return undefined;
    const isOfIt = writtenRepository(byDigest) === writtenRepository(reference);
    return { repository, tag, ...(isOfIt && digestIn(byDigest.slice(byDigest.indexOf('@') + 1))) };
  } catch (error) {
    if (error instanceof InvalidReference)
      throw malformed('Expected in tag the name of an image, such as us-docker.pkg.dev/project/repository/app:1.0.');
    throw error;
  }
}
