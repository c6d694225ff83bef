import type { IncomingHttpHeaders } from 'node:http';
import { malformed } from '../../http/problem.ts';
import { map } from '../../settings/wording.ts';
import { bySignature } from '../kit/authentication.ts';
import { part, text } from '../kit/loose.ts';
import { type EventReading, parsedFrom, readImage, withDetails } from '../kit/readings.ts';
import type { AuthenticRequest, ParsedRequest, Receiver } from '../kit/receiver.ts';
import { registryOfUrl } from '../kit/registry-host.ts';
import type { ReadSecrets } from '../kit/secrets.ts';
import { deliveryIdOf, printableLine } from '../kit/sender-text.ts';
import { readSecrets, secretList } from '../kit/settings.ts';
import { defineSource } from '../kit/source.ts';

const source = 'gitea';
/** Who has headers of its own, in the order in which they count. */
const products = ['gitea', 'forgejo', 'gogs', 'github'];

/**
 * Webhooks of Gitea and Forgejo about packages of their container registry.
 * @see https://docs.gitea.com/usage/webhooks
 */
export const giteaSource = defineSource({
  name: source,
  settings: (check) =>
    map({ secrets: secretList(check, 'The secret of the webhook.') }, 'Gitea and Forgejo webhooks on POST /webhook/gitea.'),
  create({ secrets }, context) {
    return [createGiteaReceiver(readSecrets(secrets, context.secrets, 'receivers.gitea.secrets'))];
  },
});

export function createGiteaReceiver(secrets: ReadSecrets): Receiver {
  return {
    source,
    path: '/webhook/gitea',
    mediaTypes: ['application/json'],
    mediaTypeAdvice: 'Choose the content type application/json in the settings of the webhook.',
    namesOneOfSeveralTags: false,
    challenge: 'HMAC-SHA256 header="X-Gitea-Signature"',
    authenticationAdvice:
      'Expected the header X-Gitea-Signature with the signature of the body. Set the same secret in the settings of the webhook and in receivers.gitea.secrets.',
    shownHeaders: products.flatMap((product) => ['event', 'event-type', 'delivery'].map((name) => `x-${product}-${name}`)),
    // All carry the same signature; which ones come depends on the product and its version.
    authenticate: bySignature(
      secrets,
      { header: 'X-Gitea-Signature' },
      { header: 'X-Forgejo-Signature' },
      { header: 'X-Hub-Signature-256', prefix: 'sha256=' },
    ),
    parse,
  };
}

const eventSchema = part({
  action: text,
  package: part({
    type: text,
    name: text,
    version: text,
    html_url: text,
    owner: part({ login: text, username: text }),
  }),
  sender: part({ login: text, username: text }),
});
type GiteaEvent = NonNullable<ReturnType<typeof eventSchema.parse>>;

function parse({ headers, body }: AuthenticRequest): ParsedRequest {
  const event = eventSchema.parse(body);
  if (event === undefined) throw malformed('Expected a JSON object.');
  const name = headerOf(headers, 'event') ?? (event.package === undefined ? undefined : 'package');
  if (name === undefined) throw malformed('Expected the header X-Gitea-Event with the name of the event.');
  const action = printableLine(event.action, 40);
  return parsedFrom([name === 'package' ? readPackage(event) : { ignored: 'expected the event package' }], {
    event: printableLine(name, 60) ?? 'unknown',
    ...(action !== undefined && { action }),
    deliveryId: deliveryIdOf(headerOf(headers, 'delivery')),
  });
}

function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  return products
    .map((product) => headers[`x-${product}-${name}`])
    .find((value): value is string => typeof value === 'string' && value !== '');
}

/** The registry is the server itself, at its root even where its pages are not. A push by digest has the digest as its version. */
function readPackage({ action, package: pushed, sender }: GiteaEvent): EventReading {
  if (action !== 'created') return { ignored: 'expected the action created' };
  if (pushed === undefined) return { malformed: 'Expected the package that was created.' };
  if (pushed.type?.toLowerCase() !== 'container') return { ignored: 'the package is not a container image' };
  const host = registryOfUrl(pushed.html_url);
  const owner = pushed.owner?.login || pushed.owner?.username;
  const name = host && owner && pushed.name ? `${host}/${owner}/${pushed.name}` : undefined;
  const actor = printableLine(sender?.login || sender?.username, 100);
  const reading = readImage({ name, tag: pushed.version }, 'Expected package.owner.login, package.name and package.html_url.');
  return withDetails(reading, actor === undefined ? {} : { actor });
}
