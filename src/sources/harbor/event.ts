import { z } from 'zod';
import { splitReference } from '../kit/image.ts';
import { bounded, type EventReading, listOf, part, readImage, texts } from '../kit/reading.ts';

/** The two names of the event since version 2, and the one of version 1. */
const pushed = ['push_artifact', 'harbor.artifact.pushed', 'pushimage'];

export function isHarborPush(type: string): boolean {
  return pushed.includes(type.toLowerCase());
}

export function isHarborPull(type: string): boolean {
  return ['pull_artifact', 'pullimage'].includes(type.toLowerCase());
}

const dataSchema = part({ resources: listOf(z.unknown()) });
const resourceSchema = part(texts('digest', 'tag', 'resource_url'));

/**
 * What Harbor says of what was pushed, in `event_data` of its own format and in `data` of a CloudEvent: several resources, each with the
 * reference that it is pulled by. A push by digest has the digest as its tag.
 * @throws Problem 400 if they are too many
 * @see https://goharbor.io/docs/main/working-with-projects/project-configuration/configure-webhooks/
 */
export function readHarborData(data: unknown): readonly EventReading[] {
  return bounded(dataSchema.parse(data)?.resources ?? []).map((value) => {
    const { resource_url: url, tag, digest } = resourceSchema.parse(value) ?? {};
    const expected = 'Expected the image in resource_url of each resource, as registry/project/repository:tag.';
    return readImage({ name: splitReference(url).name, tag, digest }, expected);
  });
}
