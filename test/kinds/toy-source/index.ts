import { z } from 'zod';
import { isDigest, isTag, type Repository } from '../../../src/domain/image-reference.ts';
import { malformed } from '../../../src/http/problem.ts';
import { map } from '../../../src/settings/wording.ts';
import { byBearer } from '../../../src/sources/kit/authentication.ts';
import { readSecrets, secretList } from '../../../src/sources/kit/settings.ts';
import { defineSource } from '../../../src/sources/kit/source.ts';

const pushed = z.object({ repository: z.string(), tag: z.string(), digest: z.string() });

/** Says `{ repository, tag, digest }` of a push. */
export const toySource = defineSource({
  name: 'toy',
  settings: (check) => map({ token: secretList(check, 'Bearer token.') }, 'Toys on POST /webhook/toy.'),
  create: ({ token }, context) => [
    {
      source: 'toy',
      path: '/webhook/toy',
      mediaTypes: ['application/json'],
      mediaTypeAdvice: 'Toys send JSON.',
      namesOneOfSeveralTags: false,
      challenge: 'Bearer realm="landfall"',
      authenticationAdvice: 'Expected a bearer token.',
      authenticate: byBearer(readSecrets(token, context.secrets, 'receivers.toy.token')),
      parse({ body }) {
        const { repository, tag, digest } = pushed.parse(body);
        if (!isTag(tag) || !isDigest(digest)) throw malformed('Expected tag and digest.');
        return { event: 'toy', deliveryId: digest.slice(7, 27), images: [{ repository: repository as Repository, tag, digest }] };
      },
    },
  ],
});
