import { z } from 'zod';
import { networks } from '../../settings/networks.ts';
import { registryHost, type SecretCheck, text } from '../../settings/scalars.ts';
import { map, showValue } from '../../settings/wording.ts';
import { imagesSetting } from '../kit/allowed-images.ts';
import { referenceIn } from '../kit/image.ts';
import { headerName, secretList, signedTime } from '../kit/settings.ts';

/** What is said of a sender that no receiver of its own exists for: how it authenticates, and where in its JSON the push is. */

/** Where something is in a JSON document, by RFC 6901: the names and indices on the way to it. */
export type JsonPointer = readonly string[];

const longestPointer = 300;
/** No sender has fields of these names; asking for one would reach into JavaScript's own objects. */
const neverFields = ['__proto__', 'constructor', 'prototype'];

/** `/target/repository`, with `~1` for a slash and `~0` for a tilde in a name; the empty text is the whole document. Undefined for no pointer. */
export function parseJsonPointer(text: string): JsonPointer | undefined {
  if (text === '') return [];
  if (text.length > longestPointer || !/^(?:\/(?:[^~/]|~[01])*)+$/.test(text)) return undefined;
  const names = text
    .slice(1)
    .split('/')
    .map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'));
  return names.some((name) => neverFields.includes(name)) ? undefined : names;
}

/** The value at a pointer, by the document's own members alone; undefined if there is none. */
export function valueAt(document: unknown, pointer: JsonPointer): unknown {
  return pointer.reduce((value: unknown, name): unknown => {
    if (Array.isArray(value)) return /^(?:0|[1-9]\d{0,8})$/.test(name) ? value[Number(name)] : undefined;
    return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
  }, document);
}

function textThat(fits: (value: string) => boolean, expected: string) {
  const error = ({ input }: { readonly input?: unknown }) => `expected ${expected}, found ${showValue(input)}`;
  return z.string({ error }).refine(fits, { error });
}

const isPointer = (value: string) => parseJsonPointer(value) !== undefined;
const pointer = textThat(isPointer, 'a JSON pointer such as /target/repository');
const repository = textThat(
  (value) => isPointer(value) || (!value.startsWith('/') && referenceIn(value) !== undefined),
  'a JSON pointer such as /target/repository, or an image with its registry such as ghcr.io/team/app',
);

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()], {
  error: (issue) => `expected a value or a list of them, found ${showValue(issue.input)}`,
});

const conditions = z
  .record(pointer, z.union([scalar.transform((value) => [value]), z.array(scalar).min(1)]))
  .meta({ description: 'JSON pointers, and the values that are expected there; null also where nothing is.' });

const push = map(
  {
    list: pointer
      .meta({ description: 'Where several pushes are listed; the other pointers begin at each item.' })
      .exactOptional(),
    when: conditions.exactOptional(),
    registry: registryHost.meta({ description: 'Put before the repository, where the sender leaves it out.' }).exactOptional(),
    repository: repository.meta({ description: 'The image, with or without tag and digest; or always the same one.' }),
    tag: pointer
      .meta({
        description: 'A tag, or a list of tags. Default: that of the repository, or else every followed tag is looked up.',
      })
      .exactOptional(),
    digest: pointer.meta({ description: 'The digest of its manifest.' }).exactOptional(),
    commit: pointer.meta({ description: 'The source commit.' }).exactOptional(),
    sourceRepository: pointer.meta({ description: 'The source repository, as owner/name or a URL.' }).exactOptional(),
    actor: pointer.meta({ description: 'Who pushed.' }).exactOptional(),
    delivery: pointer.meta({ description: 'The id of the delivery.' }).exactOptional(),
  },
  'Where a push is found, as JSON pointers (RFC 6901).',
);

const commits = map(
  {
    repository: textThat(
      (value) => isPointer(value) || !value.startsWith('/'),
      'a JSON pointer such as /project/git_http_url, or a repository as builds name it',
    ).meta({ description: 'The repository, as owner/name or an address of git; or always the same one.' }),
    ref: pointer.meta({ description: 'The ref that was pushed, such as refs/heads/main.' }),
    before: pointer.meta({ description: 'The commit that it had before.' }).exactOptional(),
    after: pointer.meta({ description: 'The commit that it has now; zeros where it was deleted.' }).exactOptional(),
    actor: pointer.meta({ description: 'Who pushed.' }).exactOptional(),
  },
  'Where a push of commits is found, as JSON pointers (RFC 6901): builds are made of them.',
);

const signature = map(
  {
    header: headerName.meta({ description: 'The header with the signature, in hex.' }),
    prefix: z.string().max(30).meta({ description: 'What stands before it, such as sha256=.' }).exactOptional(),
    algorithm: z.enum(['sha256', 'sha1']).meta({ description: 'Default: sha256.' }).exactOptional(),
    ...signedTime,
  },
  'An HMAC of the body in a header.',
);

function sender(check: SecretCheck) {
  return map(
    {
      secrets: secretList(check, 'Bearer token of the sender, or what signature and header say.'),
      signature: signature.exactOptional(),
      header: headerName.meta({ description: 'The secret comes in this header, as it is.' }).exactOptional(),
      networks: networks.meta({ description: 'Where the sender may send from. Default: anywhere.' }).exactOptional(),
      mediaTypes: z
        .array(text('a JSON media type such as application/json', /^(?:application\/json|[a-z]+\/[a-z0-9.!#$&^_-]+\+json)$/))
        .min(1)
        .meta({ description: 'Default: [application/json].' })
        .exactOptional(),
      images: imagesSetting('those of push.registry, or of the one image of push.repository; else any'),
      when: conditions.exactOptional(),
      push: push.exactOptional(),
      commits: commits.exactOptional(),
    },
    'A sender of JSON on POST /webhook/generic/NAME.',
  )
    .refine((value) => value.signature === undefined || value.header === undefined, {
      error: 'expected either signature or header: how the sender proves who it is',
    })
    .refine((value) => (value.push === undefined) !== (value.commits === undefined), {
      error: 'expected either push, for images that are pushed, or commits, for what images are built from',
    });
}

export function genericSettings(check: SecretCheck) {
  return z
    .record(text('a name of small letters, digits and -', /^[a-z0-9-]{1,50}$/), sender(check))
    .meta({ description: 'Senders of any JSON by name, on POST /webhook/generic/NAME.' });
}

export type GenericSender = z.output<ReturnType<typeof sender>>;
export type Conditions = z.output<typeof conditions>;
