import { z } from 'zod';
import { malformed } from '../../http/problem.ts';
import { map } from '../../settings/wording.ts';
import { allowedImages, imagesSetting, ofServiceOrPrivate, privateRegistries } from '../kit/allowed-images.ts';
import { bySignature } from '../kit/authentication.ts';
import { readPushEvent } from '../kit/commits.ts';
import { registryOfUrl } from '../kit/image.ts';
import { type EventReading, eventNamed, headerIn, parsedFrom, part, readImage, requireObject, texts } from '../kit/reading.ts';
import { secretList } from '../kit/settings.ts';
import { defineSource } from '../kit/source.ts';

/** Who has headers of its own, in the order in which they count. */
const products = ['gitea', 'forgejo', 'gogs', 'github'];
const namesOf = (header: string) => products.map((product) => `x-${product}-${header}`);

const user = part(texts('login', 'username'));
const eventSchema = z.object({
  ...texts('action'),
  package: part({ ...texts('type', 'name', 'version', 'html_url'), owner: user }),
  sender: user,
});

/** Webhooks of Gitea and Forgejo about packages of their container registry. @see https://docs.gitea.com/usage/webhooks */
export const giteaSource = defineSource({
  name: 'gitea',
  settings: (check) =>
    map(
      { secrets: secretList(check, 'The secret of the webhook.'), images: imagesSetting(privateRegistries) },
      'Gitea and Forgejo webhooks on POST /webhook/gitea.',
    ),
  allowedImages: ({ images }) => [{ path: [], allowed: allowedImages(images, ofServiceOrPrivate('gitea')) }],
  create: ({ secrets }, context) => [
    {
      mediaTypeAdvice: 'Choose the content type application/json in the settings of the webhook.',
      authenticationAdvice:
        'Expected the header X-Gitea-Signature with the signature of the body. Set the same secret in the settings of the webhook and in receivers.gitea.secrets.',
      shownHeaders: ['event', 'event-type', 'delivery'].flatMap(namesOf),
      // All carry the same signature; which ones come depends on the product and its version.
      ...bySignature(
        context.read(secrets),
        { header: 'X-Gitea-Signature' },
        { header: 'X-Forgejo-Signature' },
        { header: 'X-Hub-Signature-256', prefix: 'sha256=' },
      ),
      parse({ headers, body }) {
        const event = eventSchema.parse(requireObject(body));
        const name = headerIn(headers, ...namesOf('event')) ?? (event.package === undefined ? undefined : 'package');
        if (name === undefined) throw malformed('Expected the header X-Gitea-Event with the name of the event.');
        const about = eventNamed({ name, action: event.action, id: headerIn(headers, ...namesOf('delivery')) });
        if (name === 'push') return { ...about, images: [], ...readPushEvent(requireObject(body)) };
        const reading = name === 'package' ? readPackage(event) : { ignored: 'expected the event package or push' };
        return parsedFrom([reading], about);
      },
    },
  ],
});

/** The registry is the server itself, at its root even where its pages are not. A push by digest has the digest as its version. */
function readPackage({ action, package: pushed, sender }: z.infer<typeof eventSchema>): EventReading {
  if (action !== 'created') return { ignored: 'expected the action created' };
  if (pushed === undefined) return { malformed: 'Expected the package that was created.' };
  if (pushed.type?.toLowerCase() !== 'container') return { ignored: 'the package is not a container image' };
  const host = registryOfUrl(pushed.html_url);
  const owner = pushed.owner?.login || pushed.owner?.username;
  const name = host && owner && pushed.name ? `${host}/${owner}/${pushed.name}` : undefined;
  const image = { name, tag: pushed.version, actor: sender?.login || sender?.username };
  return readImage(image, 'Expected package.owner.login, package.name and package.html_url.');
}
