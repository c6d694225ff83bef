import { isImageConfig } from '../../domain/image-config.ts';
import type { CloudEvent } from '../cloudevents/envelope.ts';
import { part, text } from '../kit/loose.ts';
import { type EventReading, readImage, withDetails } from '../kit/readings.ts';
import { splitReference } from '../kit/reference-text.ts';
import { looksLikeDeliveryId } from '../kit/sender-text.ts';

const eventSchema = part({
  id: text,
  source: text,
  'detail-type': text,
  account: text,
  region: text,
  detail: part({
    result: text,
    'action-type': text,
    'repository-name': text,
    'image-tag': text,
    'image-digest': text,
    'manifest-media-type': text,
    'artifact-media-type': text,
  }),
});

type EventDetail = NonNullable<NonNullable<ReturnType<typeof eventSchema.parse>>['detail']>;

const expectedPlain = 'Expected account, region and detail.repository-name of the repository that was pushed to.';

export function isEventBridgeEvent(value: unknown): boolean {
  const event = eventSchema.parse(value);
  return event?.['detail-type'] !== undefined && event.source !== undefined;
}

/**
 * An event of EventBridge as it is.
 * @see https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html
 */
export function readEventBridgeEvent(value: unknown): EventReading {
  const event = eventSchema.parse(value);
  if (event?.['detail-type'] === undefined || event.source === undefined) {
    return { malformed: 'Expected an event of EventBridge with source and detail-type. Do not transform it in the rule.' };
  }
  if (event.source !== 'aws.ecr' || event['detail-type'] !== 'ECR Image Action') {
    return { ignored: 'expected the event ECR Image Action of aws.ecr' };
  }
  const { detail = {}, account, region, id } = event;
  if (detail['action-type'] !== 'PUSH' || detail.result !== 'SUCCESS') {
    return { ignored: 'expected the action PUSH with the result SUCCESS' };
  }
  if (isOtherArtifact(detail)) return { ignored: 'the artifact is not a container image' };
  const image = {
    name: nameOf(account, region, detail['repository-name']),
    tag: detail['image-tag'],
    digest: detail['image-digest'],
  };
  return withDetails(readImage(image, expectedPlain), { ...(id !== undefined && looksLikeDeliveryId(id) && { deliveryId: id }) });
}

/** An index has no config, so what it holds is not told by a media type. */
function isOtherArtifact({ 'manifest-media-type': manifest = '', 'artifact-media-type': artifact }: EventDetail): boolean {
  return Boolean(artifact) && !/\b(?:index|list)\b/.test(manifest) && !isImageConfig(artifact ?? '');
}

const dataSchema = part({ repositoryName: text, imageTag: text, imageDigest: text, registryId: text });

export function isEcrCloudEvent({ type, data }: CloudEvent): boolean {
  return /^com\.amazon\.ecr\./i.test(type) || isEventBridgeEvent(data);
}

/**
 * A push that an input transformer of EventBridge turned into a CloudEvent: account and region stand in its source, repository and tag in
 * its data or else in its subject.
 */
export function readEcrCloudEvent({ type, source, subject, data }: CloudEvent): EventReading {
  if (isEventBridgeEvent(data)) return readEventBridgeEvent(data);
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

function nameOf(account: string | undefined, region: string | undefined, repository: string | undefined): string | undefined {
  if (account === undefined || !/^\d{12}$/.test(account)) return undefined;
  if (region === undefined || !/^[a-z]{2,4}(?:-[a-z]{2,12}){1,3}-\d{1,2}$/.test(region)) return undefined;
  if (!repository) return undefined;
  const suffix = suffixes.find(([prefix]) => region.startsWith(prefix))?.[1] ?? 'amazonaws.com';
  return `${account}.dkr.ecr.${region}.${suffix}/${repository}`;
}
