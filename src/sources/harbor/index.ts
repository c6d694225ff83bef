import { z } from 'zod';
import { malformed } from '../../http/problem.ts';
import { map } from '../../settings/wording.ts';
import { isCdEvent, readCdEvent } from '../cloudevents/cdevents.ts';
import { type CloudEvent, cloudEventsIn, parsedEnvelopes } from '../cloudevents/envelope.ts';
import { allowedImages, imagesSetting, ofServiceOrPrivate, privateRegistries } from '../kit/allowed-images.ts';
import { byHeader } from '../kit/authentication.ts';
import { type EventReading, eventNamed, originIn, parsedFrom, requireObject, texts, withDetails } from '../kit/reading.ts';
import { secretList } from '../kit/settings.ts';
import { type AuthenticRequest, defineSource, onlyRoutine, type ParsedRequest } from '../kit/source.ts';
import { isHarborPull, isHarborPush, readHarborData } from './event.ts';

/** Webhooks of Harbor, in its own format and as CloudEvents, and those of version 1. */
export const harborSource = defineSource({
  name: 'harbor',
  settings: (check) =>
    map(
      {
        secrets: secretList(check, "The Auth Header of the project's webhook, as it is."),
        images: imagesSetting(privateRegistries),
      },
      'Harbor webhooks on POST /webhook/harbor.',
    ),
  allowedImages: ({ images }) => [{ path: [], allowed: allowedImages(images, ofServiceOrPrivate('harbor')) }],
  create: ({ secrets }, context) => [
    {
      mediaTypes: ['application/json', 'application/cloudevents+json'],
      mediaTypeAdvice: 'Choose the notify type http in the webhook of the project.',
      challenge: 'Harbor realm="landfall"',
      authenticationAdvice:
        'Expected the header Authorization with the secret and nothing else. Set the same text as the Auth Header of the webhook and in receivers.harbor.secrets.',
      authenticate: byHeader(context.read(secrets)),
      parse,
    },
  ],
});

const eventSchema = z.object({ ...texts('type', 'operator'), event_data: z.unknown().optional() });

function parse(request: AuthenticRequest): ParsedRequest {
  const body = requireObject(request.body);
  const envelopes = cloudEventsIn(request);
  if (envelopes !== undefined) {
    const read = (event: CloudEvent) => (isCdEvent(event) ? readCdEvent(event) : readData(event.type, event.data));
    return parsedEnvelopes(envelopes, (event) => byOperator(read(event), event.operator));
  }
  const { type, operator, event_data: data } = eventSchema.parse(body);
  if (!type) throw malformed('Expected an event of Harbor with its type.');
  const parsed = parsedFrom(byOperator(readData(type, data), operator), eventNamed({ name: type }));
  return isHarborPull(type) ? { ...parsed, ignored: onlyRoutine, routine: { pull: 1 } } : parsed;
}

function readData(type: string, data: unknown): readonly EventReading[] {
  return isHarborPush(type) ? readHarborData(data) : [{ ignored: 'expected the event PUSH_ARTIFACT (Artifact pushed)' }];
}

function byOperator(readings: readonly EventReading[], operator: string | undefined): readonly EventReading[] {
  return readings.map((reading) => withDetails(reading, originIn({ actor: operator })));
}
