import { malformed } from '../../http/problem.ts';
import { map } from '../../settings/wording.ts';
import { cloudEventMediaTypes, cloudEventsIn, type EnvelopeReading } from '../cloudevents/envelope.ts';
import { byHeaders } from '../kit/authentication.ts';
import { part, text } from '../kit/loose.ts';
import { type EventReading, parsedFrom } from '../kit/readings.ts';
import type { AuthenticRequest, ParsedRequest, Receiver } from '../kit/receiver.ts';
import type { ReadSecrets } from '../kit/secrets.ts';
import { deliveryIdOf, printableLine } from '../kit/sender-text.ts';
import { headerName, readSecrets, secretList } from '../kit/settings.ts';
import { defineSource } from '../kit/source.ts';
import { isEcrCloudEvent, readEcrCloudEvent, readEventBridgeEvent } from './event.ts';

const source = 'ecr';

/**
 * Amazon ECR by way of an API destination of EventBridge, which lets its user choose the header that the secret is in.
 * @see https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-target-connection.html
 */
export const ecrSource = defineSource({
  name: source,
  settings: (check) =>
    map(
      {
        secrets: secretList(check, 'The API key of the connection that the API destination uses.'),
        header: headerName
          .exactOptional()
          .meta({ description: 'Header that has the secret; default Authorization, with or without Bearer.' }),
      },
      'Events of Amazon ECR from EventBridge on POST /webhook/ecr.',
    ),
  create({ secrets, header }, context) {
    return [createEcrReceiver(readSecrets(secrets, context.secrets, 'receivers.ecr.secrets'), header)];
  },
});

export function createEcrReceiver(secrets: ReadSecrets, header = 'Authorization'): Receiver {
  return {
    source,
    path: '/webhook/ecr',
    mediaTypes: cloudEventMediaTypes,
    mediaTypeAdvice: 'Let an API destination of EventBridge send the event as it is.',
    namesOneOfSeveralTags: false,
    challenge: 'Bearer realm="landfall"',
    authenticationAdvice: `Expected the secret in the header ${header}. Set it as the API key of the connection in EventBridge and in receivers.ecr.secrets.`,
    authenticate: byHeaders(secrets, [header]),
    parse,
  };
}

const idSchema = part({ id: text, 'detail-type': text });

function parse(request: AuthenticRequest): ParsedRequest {
  const { body } = request;
  if (typeof body !== 'object' || body === null) throw malformed('Expected a JSON object, or a list of them.');
  const envelopes = cloudEventsIn(request);
  const [first] = envelopes ?? [];
  if (first !== undefined && envelopes !== undefined) {
    const event = 'event' in first ? first.event : undefined;
    const about = { event: printableLine(event?.type, 60) ?? 'unknown', deliveryId: deliveryIdOf(event?.id) };
    return parsedFrom(envelopes.map(readEnvelope), about);
  }
  const events: readonly unknown[] = Array.isArray(body) ? body : [body];
  const { id, 'detail-type': type } = idSchema.parse(events[0]) ?? {};
  const about = { event: printableLine(type, 60) ?? 'unknown', deliveryId: deliveryIdOf(id) };
  return parsedFrom(events.map(readEventBridgeEvent), about);
}

function readEnvelope(envelope: EnvelopeReading): EventReading {
  if ('malformed' in envelope) return envelope;
  const { event } = envelope;
  return isEcrCloudEvent(event) ? readEcrCloudEvent(event) : { ignored: 'expected an event of Amazon ECR' };
}
