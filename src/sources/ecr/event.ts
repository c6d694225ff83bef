import { isImageConfig } from '../../domain/image-config.ts';
import type { CloudEvent } from '../cloudevents/envelope.ts';
import { splitReference } from '../kit/image.ts';
import { type EventReading, part, readImage, texts, withOwnId } from '../kit/reading.ts';

const eventSchema = part({
  ...texts('id', 'source', 'detail-type', 'account', 'region'),
  detail: part({
    ...texts('result', 'action-type', 'repository-name', 'image-tag', 'image-digest'),
    ...texts('manifest-media-type', 'artifact-media-type'),
  }),
});

function eventBridgeEventIn(value: unknown) {
  const event = eventSchema.parse(value);
  return event?.['detail-type'] !== undefined && event.source !== undefined ? event : undefined;
}

/** An event of EventBridge as it is. @see https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html */
export function readEventBridgeEvent(value: unknown): EventReading {
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
