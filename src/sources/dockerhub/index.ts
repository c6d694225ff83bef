import { z } from 'zod';
import { malformed } from '../../http/problem.ts';
import { ofService } from '../kit/allowed-images.ts';
import { fullNameIn, isOtherArtifact, repositoryIn } from '../kit/image.ts';
import { definePathSecretSource } from '../kit/path-secret.ts';
import { deliveryIdOf, parsedFrom, part, readImage, requireObject, texts } from '../kit/reading.ts';

const bodySchema = z.object({
  // The media type of the config, which tells charts and other artifacts.
  push_data: part(texts('tag', 'pusher', 'media_type')),
  repository: part(texts('repo_name', 'namespace', 'name')),
});

const expected = 'Expected the image in repository.repo_name, or in repository.namespace and name.';

/**
 * Webhooks of Docker Hub. There is one kind of event, a pushed tag, without a digest. `callback_url` is never followed: it is what the
 * sender says, and nothing at Docker Hub waits for it.
 * @see https://docs.docker.com/docker-hub/repos/manage/webhooks/
 */
export const dockerhubSource = definePathSecretSource({
  name: 'dockerhub',
  description: 'Docker Hub webhooks on POST /webhook/dockerhub/SECRET.',
  setUpAt: 'Docker Hub',
  registries: ofService('dockerhub'),
  usualImages: 'those of Docker Hub',
  parse({ body }) {
    const { push_data: push, repository: described } = bodySchema.parse(requireObject(body));
    const seen = { event: 'push', deliveryId: deliveryIdOf() };
    if (isOtherArtifact(push?.media_type)) return { ...seen, images: [], ignored: 'an artifact that is not a container image' };
    // A name alone is that of an official image.
    const fullName = fullNameIn(described?.repo_name, described?.namespace, described?.name);
    const name = fullName && repositoryIn(`docker.io/${fullName}`);
    if (name === undefined) throw malformed(expected);
    if (push?.tag === undefined) throw malformed('Expected the tag in push_data.tag.');
    return parsedFrom([readImage({ name, tag: push.tag, actor: push.pusher }, expected)], seen);
  },
});
