import { z } from 'zod';
import { isTag } from '../../domain/image-reference.ts';
import { malformed } from '../../http/problem.ts';
import { repositoryIn } from '../kit/image.ts';
import { requireObject } from '../kit/json-object.ts';
import { part, text } from '../kit/loose.ts';
import { openPathSecret, pathSecretSettings } from '../kit/path-secret.ts';
import { fullNameIn, isOtherArtifact } from '../kit/pushed-artifact.ts';
import type { AuthenticRequest, ParsedRequest } from '../kit/receiver.ts';
import { deliveryIdOf, printableLine } from '../kit/sender-text.ts';
import { defineSource } from '../kit/source.ts';

const source = 'dockerhub';

/**
 * Webhooks of Docker Hub. There is one kind of event, a pushed tag, without a digest. `callback_url` is never followed: it is what the
 * sender says, and nothing at Docker Hub waits for it.
 * @see https://docs.docker.com/docker-hub/repos/manage/webhooks/
 */
export const dockerhubSource = defineSource({
  name: source,
  settings: (check) => pathSecretSettings(check, 'Docker Hub webhooks on POST /webhook/dockerhub/SECRET.'),
  create(settings, context) {
    return [{ ...openPathSecret({ source, setUpAt: 'Docker Hub' }, settings, context), parse }];
  },
});

const bodySchema = z.object({
  // The media type of the config, which tells charts and other artifacts.
  push_data: part({ tag: text, pusher: text, media_type: text }),
  repository: part({ repo_name: text, namespace: text, name: text }),
});

function parse({ body }: AuthenticRequest): ParsedRequest {
  const { push_data: push, repository: described } = bodySchema.parse(requireObject(body));
  const seen = { event: 'push', deliveryId: deliveryIdOf(undefined) };
  if (isOtherArtifact(push?.media_type)) return { ...seen, images: [], ignored: 'an artifact that is not a container image' };
  // A name alone is that of an official image.
  const name = fullNameIn(described?.repo_name, described?.namespace, described?.name);
  const repository = name === undefined ? undefined : repositoryIn(`docker.io/${name}`);
  if (repository === undefined)
    throw malformed('Expected the image in repository.repo_name, or in repository.namespace and name.');
  const tag = push?.tag;
  if (tag === undefined) throw malformed('Expected the tag in push_data.tag.');
  if (!isTag(tag)) return { ...seen, images: [], ignored: 'no tag was pushed' };
  const actor = printableLine(push?.pusher, 100);
  return { ...seen, images: [{ repository, tag, ...(actor !== undefined && { actor }) }] };
}
