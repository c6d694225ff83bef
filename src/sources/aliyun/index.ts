import { z } from 'zod';
import { malformed } from '../../http/problem.ts';
import { repositoryIn, tagAndDigest } from '../kit/image.ts';
import { requireObject } from '../kit/json-object.ts';
import { part, text } from '../kit/loose.ts';
import { openPathSecret, pathSecretSettings } from '../kit/path-secret.ts';
import { fullNameIn } from '../kit/pushed-artifact.ts';
import type { AuthenticRequest, ParsedRequest } from '../kit/receiver.ts';
import { deliveryIdOf } from '../kit/sender-text.ts';
import { defineSource } from '../kit/source.ts';

const source = 'aliyun';

/**
 * Triggers of Alibaba Cloud's Container Registry. The body has the keys of Docker Hub's. It does not name the registry, only its region,
 * and of an Enterprise instance not even that it is one: then the URL of the webhook says it, as `?registry_url=HOST`.
 * @see https://www.alibabacloud.com/help/en/acr/user-guide/manage-webhooks
 */
export const aliyunSource = defineSource({
  name: source,
  settings: (check) =>
    pathSecretSettings(check, 'Alibaba Cloud Container Registry triggers on POST /webhook/aliyun/SECRET[?registry_url=HOST].'),
  create(settings, context) {
    return [{ ...openPathSecret({ source, setUpAt: 'Alibaba Cloud' }, settings, context), parse }];
  },
});

const bodySchema = z.object({
  push_data: part({ tag: text, digest: text }),
  repository: part({ repo_full_name: text, namespace: text, name: text, region: text }),
});

function parse({ body, query }: AuthenticRequest): ParsedRequest {
  const { push_data: push, repository: described } = bodySchema.parse(requireObject(body));
  const seen = { event: 'push', deliveryId: deliveryIdOf(undefined) };
  const name = fullNameIn(described?.repo_full_name, described?.namespace, described?.name);
  if (name === undefined)
    throw malformed('Expected the image in repository.repo_full_name, or in repository.namespace and name.');
  const host = hostIn(query) ?? hostOfRegion(described?.region);
  if (host === undefined) {
    const ignored =
      'the registry is unknown: expected its region in repository.region, or ?registry_url=HOST in the URL of the webhook';
    return { ...seen, images: [], ignored };
  }
  const repository = repositoryIn(`${host}/${name}`);
  if (repository === undefined) throw malformed('Expected the name of an image in repository.repo_full_name.');
  if (push?.tag === undefined) throw malformed('Expected the tag in push_data.tag.');
  const image = tagAndDigest(push.tag, push.digest);
  if (image === undefined) return { ...seen, images: [], ignored: 'no tag was pushed' };
  return { ...seen, images: [{ repository, ...image }] };
}

/** @throws Problem 400 if it is not a host: the webhook would never start anything */
function hostIn(query: URLSearchParams): string | undefined {
  const given = query.get('registry_url')?.trim();
  if (!given) return undefined;
  const host = /^(?:https?:\/\/)?([^/]{1,253})\/?$/i.exec(given)?.[1];
  if (host !== undefined && repositoryIn(`${host}/x`) !== undefined) return host;
  throw malformed('Expected the host of a registry in registry_url, such as NAME-registry.REGION.cr.aliyuncs.com.');
}

function hostOfRegion(region: string | undefined): string | undefined {
  const written = region?.trim().toLowerCase();
  return written !== undefined && /^[a-z]{2,20}(?:-[a-z0-9]{1,20}){1,4}$/.test(written)
    ? `registry.${written}.aliyuncs.com`
    : undefined;
}
