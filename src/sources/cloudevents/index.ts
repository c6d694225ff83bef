import { z } from 'zod';
import { malformed } from '../../http/problem.ts';
import { text as settingText } from '../../settings/scalars.ts';
import { map } from '../../settings/wording.ts';
import { isAcrCloudEvent, readAcrEvent } from '../acr/event.ts';
import { isEcrCloudEvent, readEcrCloudEvent } from '../ecr/event.ts';
import { isHarborPush, readHarborData } from '../harbor/event.ts';
import { allowedImages, imagesSetting, ofAny } from '../kit/allowed-images.ts';
import { byHeaders, bySignature } from '../kit/authentication.ts';
import { registryOfUrl, splitReference } from '../kit/image.ts';
import { type EventReading, part, readImage, texts, withOwnId } from '../kit/reading.ts';
import { headerName, secretList, signedTime, signedTimeOf } from '../kit/settings.ts';
import { type AuthenticRequest, defineSource, type ParsedRequest } from '../kit/source.ts';
import { isCdEvent, readCdEvent } from './cdevents.ts';
import { type CloudEvent, cloudEventMediaTypes, cloudEventsIn, parsedEnvelopes } from './envelope.ts';

/** CloudEvents about container images, CDEvents among them, from any sender. CloudEvents says nothing of authentication. */
export const cloudeventsSource = defineSource({
  name: 'cloudevents',
  settings: (check) =>
    map(
      {
        secrets: secretList(check, 'The token that the sender has, or the key that it signs with.'),
        header: headerName.exactOptional().meta({
          description: 'Header that has the token; default Authorization (with or without Bearer) or X-Webhook-Secret.',
        }),
        signature: signature.exactOptional(),
        images: imagesSetting('any'),
      },
      'CloudEvents and CDEvents on POST /webhook/cloudevents.',
    ).refine(({ header, signature: signed }) => header === undefined || signed === undefined, {
      error: 'expected either header (of a token) or signature, found both',
    }),
  allowedImages: ({ images }) => [{ path: [], allowed: allowedImages(images, ofAny) }],
  create({ secrets, header, signature: signed }, context) {
    const read = context.read(secrets);
    const bySignedTime = signed && bySignature(read, { ...signed, time: signedTimeOf(signed, context.now) });
    const headers = header === undefined ? ['Authorization', 'X-Webhook-Secret'] : [header];
    const carried = signed
      ? `header ${signed.header} with the signature of the body`
      : `token in the header ${headers.join(' or ')}`;
    return [
      {
        mediaTypes: cloudEventMediaTypes,
        mediaTypeAdvice: 'Send CloudEvents over HTTP in structured, binary or batched mode, with data in JSON.',
        challenge: signed ? `HMAC header="${signed.header}"` : 'Bearer realm="landfall"',
        authenticate: bySignedTime?.authenticate ?? byHeaders(read, headers),
        authenticationAdvice: `Expected the ${carried}. Set the same secret at the sender and in receivers.cloudevents.secrets.`,
        parse,
      },
    ];
  },
});

const signature = map(
  {
    header: headerName.meta({ description: 'Header that has the HMAC of the body in hex.' }),
    prefix: settingText('a prefix such as sha256=', /^[\x21-\x7e]{1,40}$/)
      .exactOptional()
      .meta({ description: 'What stands before the HMAC, such as sha256=.' }),
    algorithm: z.enum(['sha256', 'sha1']).exactOptional().meta({ description: 'Default: sha256.' }),
    ...signedTime,
  },
  'Where the sender signs the body in place of sending a token.',
);

function parse(request: AuthenticRequest): ParsedRequest {
  const envelopes = cloudEventsIn(request);
  if (envelopes === undefined) {
    throw malformed(
      'Expected a CloudEvent: with specversion and type in the body, or with the headers ce-specversion and ce-type.',
    );
  }
  return parsedEnvelopes(envelopes, (event) => readEvent(event).map((reading) => withOwnId(reading, event.id)));
}

/** A format that has a specification goes before the words of its type. */
function readEvent(event: CloudEvent): readonly EventReading[] {
  if (isCdEvent(event)) return readCdEvent(event);
  if (isEcrCloudEvent(event)) return [readEcrCloudEvent(event)];
  if (isAcrCloudEvent(event)) return [readAcrEvent(event.data)];
  if (isHarborPush(event.type)) return readHarborData(event.data);
  // `com.example.container.push`, `org.container.image.published`: no specification names these, so any such word will do.
  const isAboutImage = /container|image/i.test(event.type);
  return [isAboutImage ? readContainerEvent(event) : { ignored: 'the event is not about a container image' }];
}

const dataSchema = part(
  texts('repository', 'repositoryName', 'tag', 'imageTag', 'digest', 'imageDigest', 'registry', 'registryUrl', 'commit'),
);

/** A CloudEvent about an image, from a sender that has no format of its own. What its data leaves out is taken from subject and source. */
function readContainerEvent({ type, source, subject, data }: CloudEvent): EventReading {
  if (!/push|publish|upload|creat|updat|releas|built/i.test(type))
    return { ignored: 'expected an event about an image that was pushed' };
  const said = dataSchema.parse(data) ?? {};
  const named = splitReference(said.repositoryName || said.repository);
  const fallback = splitReference(subject);
  const image = {
    name: nameAt(said.registryUrl || said.registry, source, named.name || fallback.name),
    tag: said.imageTag || said.tag || named.tag || fallback.tag,
    digest: said.imageDigest || said.digest || named.digest || fallback.digest,
    commit: said.commit,
  };
  const expected =
    'Expected repository, tag and registryUrl in data, or REPOSITORY:TAG as the subject and the URL of the registry as the source.';
  return readImage(image, expected);
}

/** A registry that is named goes before one in the repository's name, and that before one that the source happens to be. */
function nameAt(registry: string | undefined, source: string | undefined, name: string | undefined): string | undefined {
  if (!name) return undefined;
  const host = hostIn(registry);
  if (host !== undefined) return name.toLowerCase().startsWith(`${host.toLowerCase()}/`) ? name : `${host}/${name}`;
  const origin = hostIn(source);
  return origin === undefined || (name.includes('/') && hostIn(name) !== undefined) ? name : `${origin}/${name}`;
}

/** The host of a URL, or of what is one but for its scheme. */
function hostIn(written: string | undefined): string | undefined {
  if (!written) return undefined;
  const ofUrl = registryOfUrl(written);
  if (ofUrl !== undefined || written.includes('://')) return ofUrl;
  const [first = ''] = written.split('/', 1);
  return first.length <= 255 && /^(?=localhost|.*[.:])[a-z0-9.-]+(?::\d+)?$/i.test(first) ? first : undefined;
}
