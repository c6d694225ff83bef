import { isImageConfig } from '../../domain/image-config.ts';
import { malformed } from '../../http/problem.ts';
import { map } from '../../settings/wording.ts';
import { type CloudEvent, cloudEventMediaTypes, cloudEventsIn, parsedEnvelopes } from '../cloudevents/envelope.ts';
import { byHeaders } from '../kit/authentication.ts';
import { splitReference } from '../kit/image.ts';
import { type EventReading, eventNamed, parsedFrom, part, readImage, texts, withOwnId } from '../kit/reading.ts';
import { headerName, secretList } from '../kit/settings.ts';
import { type AuthenticRequest, defineSource, type ParsedRequest } from '../kit/source.ts';

/**
 * Amazon ECR by way of an API destination of EventBridge, which lets its user choose the header that the secret is in.
 * @see https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-target-connection.html
 */
export const ecrSource = defineSource({
  name: 'ecr',
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

const eventSchema = part({
  ...texts('id', 'source', 'detail-type', 'account', 'region'),
  detail: part({
    ...texts('result', 'action-type', 'repository-name', 'image-tag', 'image-digest'),
    ...texts('manifest-media-type', 'artifact-media-type'),
  }),
});

function parse(request: AuthenticRequest): ParsedRequest {
  const { body } = request;
  if (typeof body !== 'object' || body === null) throw malformed('Expected a JSON object, or a list of them.');
  const envelopes = cloudEventsIn(request);
  if (envelopes !== undefined) return parsedEnvelopes(envelopes, (event) => [readEnveloped(event)]);
  const events: readonly unknown[] = Array.isArray(body) ? body : [body];
  const { id, 'detail-type': type } = eventSchema.parse(events[0]) ?? {};
  return parsedFrom(events.map(readEventBridgeEvent), eventNamed({ name: type, id }));
}

function readEnveloped(event: CloudEvent): EventReading {
  return isEcrCloudEvent(event) ? readEcrCloudEvent(event) : { ignored: 'expected an event of Amazon ECR' };
}

function eventBridgeEventIn(value: unknown) {
  const event = eventSchema.parse(value);
  return event?.['detail-type'] !== undefined && event.source !== undefined ? event : undefined;
}

/** An event of EventBridge as it is. @see https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html */
function readEventBridgeEvent(value: unknown): EventReading {
  const event = eventBridgeEventIn(value);
  if (event === undefined) {
    return { malformed: 'Expected an event of EventBridge with source and detail-type. Do not transform it in the rule.' };
  }
  if (event.source !== 'aws.ecr' || event['detail-type'] !== 'ECR Image Action') {
    return { ignored: 'expected the event ECR Image Action of aws.ecr' };
  }
  const { detail = {}, account, region, id } = event;
  if (detail['action-type'] !== 'PUSH' || detail.result !== 'SUCCESS') {
    return { ignored: 'expected the action PUSH with the result SUCCESS' };
  }
  const { 'manifest-media-type': manifest = '', 'artifact-media-type': artifact } = detail;
  // An index has no config, so what it holds is not told by a media type.
  if (artifact && !/\b(?:index|list)\b/.test(manifest) && !isImageConfig(artifact)) {
    return { ignored: 'the artifact is not a container image' };
  }
  const image = {
    name: nameOf(account, region, detail['repository-name']),
    tag: detail['image-tag'],
    digest: detail['image-digest'],
  };
  const expected = 'Expected account, region and detail.repository-name of the repository that was pushed to.';
  return withOwnId(readImage(image, expected), id);
}

const dataSchema = part(texts('repositoryName', 'imageTag', 'imageDigest', 'registryId'));

export function isEcrCloudEvent({ type, data }: CloudEvent): boolean {
  return /^com\.amazon\.ecr\./i.test(type) || eventBridgeEventIn(data) !== undefined;
}

/**
 * A push that an input transformer of EventBridge turned into a CloudEvent: account and region stand in its source, repository and tag in
 * its data or else in its subject.
 */
export function readEcrCloudEvent({ type, source, subject, data }: CloudEvent): EventReading {
  if (eventBridgeEventIn(data) !== undefined) return readEventBridgeEvent(data);
  if (!/\.push(?:ed)?$/i.test(type)) return { ignored: 'expected the event com.amazon.ecr.image.push' };
  const { repositoryName, imageTag, imageDigest, registryId } = dataSchema.parse(data) ?? {};
  const fallback = splitReference(subject);
  const [, region, account] = /^(?:urn|arn):aws[a-z-]*:ecr:([a-z0-9-]+):(\d*)(?::|$)/i.exec(source?.slice(0, 500) ?? '') ?? [];
  return readImage(
    {
      name: nameOf(registryId || account, region, repositoryName || fallback.name),
      tag: imageTag || fallback.tag,
      digest: imageDigest || fallback.digest,
    },
    'Expected urn:aws:ecr:REGION:ACCOUNT:repository/NAME as the source, and repositoryName in data or NAME:TAG as the subject.',
  );
}

/** The suffixes of the partitions that differ: https://docs.aws.amazon.com/general/latest/gr/ecr.html */
const suffixes: readonly (readonly [prefix: string, suffix: string])[] = [
  ['cn-', 'amazonaws.com.cn'],
  ['eusc-', 'amazonaws.eu'],
  ['us-iso-', 'c2s.ic.gov'],
  ['us-isob-', 'sc2s.sgov.gov'],
  ['us-isof-', 'csp.hci.ic.gov'],
  ['eu-isoe-', 'cloud.adc-e.uk'],
];

function nameOf(account = '', region = '', repository = ''): string | undefined {
  if (!/^\d{12}$/.test(account) || !/^[a-z]{2,4}(?:-[a-z]{2,12}){1,3}-\d{1,2}$/.test(region) || repository === '')
    return undefined;
  const suffix = suffixes.find(([prefix]) => region.startsWith(prefix))?.[1] ?? 'amazonaws.com';
  return `${account}.dkr.ecr.${region}.${suffix}/${repository}`;
}
