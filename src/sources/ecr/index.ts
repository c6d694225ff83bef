import { malformed } from '../../http/problem.ts';
import { map } from '../../settings/wording.ts';
import { type CloudEvent, cloudEventMediaTypes, cloudEventsIn, parsedEnvelopes } from '../cloudevents/envelope.ts';
import { allowedImages, imagesSetting, ofService } from '../kit/allowed-images.ts';
import { byHeaders } from '../kit/authentication.ts';
import { type EventReading, eventNamed, parsedFrom, part, texts } from '../kit/reading.ts';
import { headerName, secretList } from '../kit/settings.ts';
import { type AuthenticRequest, defineSource, type ParsedRequest } from '../kit/source.ts';
import { isEcrCloudEvent, readEcrCloudEvent, readEventBridgeEvent } from './event.ts';

/**
 * Amazon ECR by way of an API destination of EventBridge, which lets its user choose the header that the secret is in.
 * @see https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-target-connection.html
 */
export const ecrSource = defineSource({
  name: 'ecr',
  settings: (check) =>
    map(
      {
        images: imagesSetting('those of registries of Amazon ECR'),
        secrets: secretList(check, 'The API key of the connection that the API destination uses.'),
        header: headerName
          .exactOptional()
          .meta({ description: 'Header that has the secret; default Authorization, with or without Bearer.' }),
      },
      'Events of Amazon ECR from EventBridge on POST /webhook/ecr.',
    ),
  allowedImages: ({ images }) => [{ path: [], allowed: allowedImages(images, ofService('ecr')) }],
  create: ({ secrets, header = 'Authorization' }, context) => [
    {
      mediaTypes: cloudEventMediaTypes,
      mediaTypeAdvice: 'Let an API destination of EventBridge send the event as it is.',
      challenge: 'Bearer realm="landfall"',
      authenticationAdvice: `Expected the secret in the header ${header}. Set it as the API key of the connection in EventBridge and in receivers.ecr.secrets.`,
      authenticate: byHeaders(context.read(secrets), [header]),
      parse,
    },
  ],
});

function parse(request: AuthenticRequest): ParsedRequest {
  const { body } = request;
  if (typeof body !== 'object' || body === null) throw malformed('Expected a JSON object, or a list of them.');
  const envelopes = cloudEventsIn(request);
  if (envelopes !== undefined) return parsedEnvelopes(envelopes, (event) => [readEnveloped(event)]);
  const events: readonly unknown[] = Array.isArray(body) ? body : [body];
  const { id, 'detail-type': type } = part(texts('id', 'detail-type')).parse(events[0]) ?? {};
  return parsedFrom(events.map(readEventBridgeEvent), eventNamed({ name: type, id }));
}

function readEnveloped(event: CloudEvent): EventReading {
  return isEcrCloudEvent(event) ? readEcrCloudEvent(event) : { ignored: 'expected an event of Amazon ECR' };
}
