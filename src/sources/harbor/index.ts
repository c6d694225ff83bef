import { z } from 'zod';
import { malformed } from '../../http/problem.ts';
import { map } from '../../settings/wording.ts';
import { isCdEvent, readCdEvent } from '../cloudevents/cdevents.ts';
import { type CloudEvent, cloudEventsIn, type EnvelopeReading } from '../cloudevents/envelope.ts';
import { byHeader } from '../kit/authentication.ts';
import { requireObject } from '../kit/json-object.ts';
import { text } from '../kit/loose.ts';
import { type EventReading, parsedFrom, withDetails } from '../kit/readings.ts';
import type { AuthenticRequest, ParsedRequest, Receiver } from '../kit/receiver.ts';
import type { ReadSecrets } from '../kit/secrets.ts';
import { deliveryIdOf, printableLine } from '../kit/sender-text.ts';
import { readSecrets, secretList } from '../kit/settings.ts';
import { defineSource } from '../kit/source.ts';
import { isHarborPush, readHarborData } from './event.ts';

const source = 'harbor';
const notAPush: EventReading = { ignored: 'expected the event PUSH_ARTIFACT (Artifact pushed)' };

/**
 * Webhooks of Harbor, in its own format and as CloudEvents, and those of version 1.
 * @see https://goharbor.io/docs/main/working-with-projects/project-configuration/configure-webhooks/
 */
export const harborSource = defineSource({
  name: source,
  settings: (check) =>
    map(
      { secrets: secretList(check, "The Auth Header of the project's webhook, as it is.") },
      'Harbor webhooks on POST /webhook/harbor.',
    ),
  create({ secrets }, context) {
    return [createHarborReceiver(readSecrets(secrets, context.secrets, 'receivers.harbor.secrets'))];
  },
});

export function createHarborReceiver(secrets: ReadSecrets): Receiver {
  return {
    source,
    path: '/webhook/harbor',
    mediaTypes: ['application/json', 'application/cloudevents+json'],
    mediaTypeAdvice: 'Choose the notify type http in the webhook of the project.',
    namesOneOfSeveralTags: false,
    challenge: 'Harbor realm="landfall"',
    authenticationAdvice:
      'Expected the header Authorization with the secret and nothing else. Set the same text as the Auth Header of the webhook and in receivers.harbor.secrets.',
    authenticate: byHeader(secrets),
    parse,
  };
}

const eventSchema = z.object({ type: text, operator: text, event_data: z.unknown().optional() });

function parse(request: AuthenticRequest): ParsedRequest {
  const body = requireObject(request.body);
  const [envelope] = cloudEventsIn(request) ?? [];
  if (envelope !== undefined) return parseCloudEvent(envelope);
  const { type, operator, event_data: data } = eventSchema.parse(body);
  if (!type) throw malformed('Expected an event of Harbor with its type.');
  const readings = isHarborPush(type) ? readHarborData(data) : [notAPush];
  return parsedFrom(byOperator(readings, operator), {
    event: printableLine(type, 60) ?? 'unknown',
    deliveryId: deliveryIdOf(undefined),
  });
}

function parseCloudEvent(envelope: EnvelopeReading): ParsedRequest {
  if ('malformed' in envelope) throw malformed(envelope.malformed);
  const { event } = envelope;
  return parsedFrom(byOperator(readCloudEvent(event), event.operator), {
    event: printableLine(event.type, 60) ?? 'unknown',
    deliveryId: deliveryIdOf(event.id),
  });
}

function readCloudEvent(event: CloudEvent): readonly EventReading[] {
  if (isCdEvent(event)) return readCdEvent(event);
  return isHarborPush(event.type) ? readHarborData(event.data) : [notAPush];
}

function byOperator(readings: readonly EventReading[], operator: string | undefined): readonly EventReading[] {
  const actor = printableLine(operator, 100);
  return actor === undefined ? readings : readings.map((reading) => withDetails(reading, { actor }));
}
