import { z } from 'zod';
import { malformed } from '../../http/problem.ts';
import { ofServiceOrPrivate, privateRegistries } from '../kit/allowed-images.ts';
import { fullNameIn, repositoryIn } from '../kit/image.ts';
import { definePathSecretSource } from '../kit/path-secret.ts';
import { deliveryIdOf, parsedFrom, part, readImage, requireObject, texts } from '../kit/reading.ts';

const bodySchema = z.object({
  push_data: part(texts('tag', 'digest')),
  repository: part(texts('repo_full_name', 'namespace', 'name', 'region')),
});

const expected = 'Expected the name of an image in repository.repo_full_name.';

/**
 * Triggers of Alibaba Cloud's Container Registry. The body has the keys of Docker Hub's. It does not name the registry, only its region,
 * and of an Enterprise instance not even that it is one: then the URL of the webhook says it, as `?registry_url=HOST`.
 * @see https://www.alibabacloud.com/help/en/acr/user-guide/manage-webhooks
 */
export const aliyunSource = definePathSecretSource({
  name: 'aliyun',
  description: 'Alibaba Cloud Container Registry triggers on POST /webhook/aliyun/SECRET[?registry_url=HOST].',
  setUpAt: 'Alibaba Cloud',
  registries: ofServiceOrPrivate('aliyun'),
  usualImages: privateRegistries,
  parse({ body, query }) {
    const { push_data: push, repository: described } = bodySchema.parse(requireObject(body));
    const seen = { event: 'push', deliveryId: deliveryIdOf() };
    const fullName = fullNameIn(described?.repo_full_name, described?.namespace, described?.name);
    if (fullName === undefined)
      throw malformed('Expected the image in repository.repo_full_name, or in repository.namespace and name.');
    const region = described?.region?.trim().toLowerCase() ?? '';
    const isRegion = /^[a-z]{2,20}(?:-[a-z0-9]{1,20}){1,4}$/.test(region);
    const host = hostIn(query) ?? (isRegion ? `registry.${region}.aliyuncs.com` : undefined);
    if (host === undefined) {
      const ignored =
        'the registry is unknown: expected its region in repository.region, or ?registry_url=HOST in the URL of the webhook';
      return { ...seen, images: [], ignored };
    }
    const name = repositoryIn(`${host}/${fullName}`);
    if (name === undefined) throw malformed(expected);
    if (push?.tag === undefined) throw malformed('Expected the tag in push_data.tag.');
    return parsedFrom([readImage({ name, tag: push.tag, digest: push.digest }, expected)], seen);
  },
});

/** @throws Problem 400 if it is not a host: the webhook would never start anything */
function hostIn(query: URLSearchParams): string | undefined {
  const given = query.get('registry_url')?.trim();
  if (!given) return undefined;
  const host = /^(?:https?:\/\/)?([^/]{1,253})\/?$/i.exec(given)?.[1];
  if (host !== undefined && repositoryIn(`${host}/x`) !== undefined) return host;
  throw malformed('Expected the host of a registry in registry_url, such as NAME-registry.REGION.cr.aliyuncs.com.');
}
