import { z } from 'zod';
import { malformed } from '../../http/problem.ts';
import { text } from '../../settings/scalars.ts';
import { map } from '../../settings/wording.ts';
import { isAcrCloudEvent, readAcrEvent } from '../acr/event.ts';
import { isEcrCloudEvent, readEcrCloudEvent } from '../ecr/event.ts';
import { isHarborPush, readHarborData } from '../harbor/event.ts';
import { byHeaders, bySignature } from '../kit/authentication.ts';
import { type EventReading, parsedFrom, withDetails } from '../kit/readings.ts';
import type { AuthenticRequest, ParsedRequest, Receiver } from '../kit/receiver.ts';
import type { ReadSecrets } from '../kit/secrets.ts';
import { deliveryIdOf, looksLikeDeliveryId, printableLine } from '../kit/sender-text.ts';
import { headerName, readSecrets, secretList } from '../kit/settings.ts';
import { defineSource } from '../kit/source.ts';
import { isCdEvent, readCdEvent } from './cdevents.ts';
import { isContainerEvent, readContainerEvent } from './container-event.ts';
import { type CloudEvent, cloudEventMediaTypes, cloudEventsIn, type EnvelopeReading } from './envelope.ts';

const source = 'cloudevents';

/** CloudEvents about container images, CDEvents among them, from any sender. CloudEvents says nothing of authentication. */
export const cloudeventsSource = defineSource({
  name: source,
  settings: (check) =>
    map(
      {
        secrets: secretList(check, 'The token that the sender has, or the key that it signs with.'),
        header: headerName.exactOptional().meta({
          description: 'Header that has the token; default Authorization (with or without Bearer) or X-Webhook-Secret.',
        }),
        signature: signature.exactOptional(),
      },
      'CloudEvents and CDEvents on POST /webhook/cloudevents.',
    ).refine(({ header, signature: signed }) => header === undefined || signed === undefined, {
      error: 'expected either header (of a token) or signature, found both',
    }),
  create({ secrets, ...options }, context) {
    const read = readSecrets(secrets, context.secrets, 'receivers.cloudevents.secrets');
    return [createCloudEventsReceiver(read, options)];
  },
});

const signature = map(
  {
    header: headerName.meta({ description: 'Header that has the HMAC of the body in hex.' }),
    prefix: text('a prefix such as sha256=', /^[\x21-\x7e]{1,40}$/)
      .exactOptional()
      .meta({ description: 'What stands before the HMAC, such as sha256=.' }),
    algorithm: z.enum(['sha256', 'sha1']).exactOptional().meta({ description: 'Default: sha256.' }),
  },
  'Where the sender signs the body in place of sending a token.',
);

export interface CloudEventsOptions {
  readonly header?: string;
  readonly signature?: z.output<typeof signature>;
}

export function createCloudEventsReceiver(secrets: ReadSecrets, options: CloudEventsOptions = {}): Receiver {
  return {
    source,
    path: '/webhook/cloudevents',
    mediaTypes: cloudEventMediaTypes,
    mediaTypeAdvice: 'Send CloudEvents over HTTP in structured, binary or batched mode, with data in JSON.',
    namesOneOfSeveralTags: false,
    ...authenticationBy(secrets, options),
    parse,
  };
}

function authenticationBy(
  secrets: ReadSecrets,
  { header, signature: signed }: CloudEventsOptions,
): Pick<Receiver, 'challenge' | 'authenticationAdvice' | 'authenticate'> {
  const setUp = 'Set the same secret at the sender and in receivers.cloudevents.secrets.';
  if (signed !== undefined) {
    return {
      challenge: `HMAC header="${signed.header}"`,
      authenticate: bySignature(secrets, signed),
      authenticationAdvice: `Expected the header ${signed.header} with the signature of the body. ${setUp}`,
    };
  }
  const headers = header === undefined ? ['Authorization', 'X-Webhook-Secret'] : [header];
  return {
    challenge: 'Bearer realm="landfall"',
    authenticate: byHeaders(secrets, headers),
    authenticationAdvice: `Expected the token in the header ${headers.join(' or ')}. ${setUp}`,
  };
}

function parse(request: AuthenticRequest): ParsedRequest {
  const envelopes = cloudEventsIn(request);
  if (envelopes === undefined) {
    throw malformed(
      'Expected a CloudEvent: with specversion and type in the body, or with the headers ce-specversion and ce-type.',
    );
  }
  const first = envelopes.flatMap((envelope) => ('event' in envelope ? [envelope.event] : []))[0];
  return parsedFrom(envelopes.flatMap(readEnvelope), {
    event: printableLine(first?.type, 100) ?? 'unknown',
    deliveryId: deliveryIdOf(first?.id),
  });
}

function readEnvelope(envelope: EnvelopeReading): readonly EventReading[] {
  if ('malformed' in envelope) return [envelope];
  const { event } = envelope;
  const readings = readEvent(event);
  if (event.id === undefined || !looksLikeDeliveryId(event.id)) return readings;
  const deliveryId = event.id;
  return readings.map((reading) => withDetails(reading, { deliveryId }));
}

/** A format that has a specification goes before the words of its type. */
function readEvent(event: CloudEvent): readonly EventReading[] {
  if (isCdEvent(event)) return readCdEvent(event);
  if (isEcrCloudEvent(event)) return [readEcrCloudEvent(event)];
  if (isAcrCloudEvent(event)) return [readAcrEvent(event.data)];
  if (isHarborPush(event.type)) return readHarborData(event.data);
  return isContainerEvent(event) ? [readContainerEvent(event)] : [{ ignored: 'the event is not about a container image' }];
}
