import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import type { Environment } from '../../domain/environment.ts';
import { codeOf } from '../../domain/errors.ts';
import { type Authenticate, authentic, refused } from '../../http/authentication.ts';
import { text } from '../../settings/scalars.ts';
import { map, showValue } from '../../settings/wording.ts';
import { allowedImages, imagesSetting, ofServiceOrPrivate, privateRegistries } from '../kit/allowed-images.ts';
import { allOf, byPathOrHeader, fromNetworks } from '../kit/authentication.ts';
import { asciiLowerCase } from '../kit/image.ts';
import { pathSecretReceiver, secretOfPath, senderNetworks } from '../kit/path-secret.ts';
import { textList } from '../kit/settings.ts';
import { type DropIn, defineSource, type OwnContext, type OwnReceiver, type ParsedRequest } from '../kit/source.ts';
import { parseQuayNotification as parse } from './notification.ts';

/** A DNS name of the certificate that quay.io shows. */
const quaySubject = '*.quay.io';

const label = String.raw`(?:\*|[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)`;
const subjectPattern = new RegExp(String.raw`^${label}(?:\.${label})*$`);
/** DNS allows no longer name. */
const longestName = 253;

/** A DNS name, or a pattern of one: `*` stands for one label. */
export const certificateSubject = z
  .string({ error: (issue) => `expected a name such as hooks.example.org or *.example.org, found ${showValue(issue.input)}` })
  .refine((value) => value.length <= longestName && subjectPattern.test(value) && /[^*.]/.test(value), {
    error: (issue) =>
      `expected a name such as hooks.example.org or *.example.org (* stands for one whole label), found ${showValue(issue.input)}`,
  });

const certificateSettings = map(
  {
    ca: text('a file')
      .meta({
        description:
          'Certificate authorities (PEM) that the chain of the certificate must lead to; relative to this file. Default: those of Node.',
      })
      .exactOptional(),
    subject: certificateSubject
      .meta({
        description: `DNS name that the certificate must have among its alternative names (a common name does not count); * stands for one label. Default: ${quaySubject}.`,
      })
      .exactOptional(),
    owners: textList(
      'a namespace at Quay',
      'In place of secrets: only images of these namespaces count. Every account of quay.io can still tell of them.',
    ).exactOptional(),
  },
  'The TLS client certificate that Quay shows, beside a secret unless the Quay is your own.',
);
type CertificateSettings = z.output<typeof certificateSettings>;

const whySharedNeedsMore =
  'expected secrets beside it: quay.io shows the same certificate for each of its accounts, so it does not tell who sends. ' +
  'Builds are then told to https://YOUR-HOST/incoming/SECRET. Without a landfall.yaml, set LANDFALL_SECRET (or LANDFALL_OWNERS)';

/**
 * Whether a name is one that only the operator's own Quay can have: then its certificate proves as much as a secret. The end of the name
 * has to be spelt out: a * there is a label of anybody's.
 */
export function isOwnQuay(subject: string): boolean {
  const end = subject.toLowerCase().split('.').slice(-2);
  return !end.includes('*') && end.join('.') !== 'quay.io';
}

/**
 * Notifications of Quay. It signs nothing: either the URL ends in a secret, or Quay shows its client certificate, as quay.io does to
 * every HTTPS URL. What quay.io shows is the same for all its accounts, each of which chooses the whole body, so a secret has to come
 * with it.
 */
export const quaySource = defineSource({
  name: 'quay',
  settings: (check) => {
    const description = 'Quay notifications on POST /webhook/quay/SECRET; with certificate, on POST /incoming.';
    return map(
      {
        secrets: secretOfPath(check).exactOptional(),
        images: imagesSetting(`quay.io, and ${privateRegistries}`),
        networks: senderNetworks,
        certificate: certificateSettings.exactOptional(),
      },
      description,
    )
      .refine((settings) => settings.secrets !== undefined || settings.certificate !== undefined, {
        error: 'expected secrets, or certificate with the subject of your own Quay, or both',
      })
      .refine(({ secrets, certificate }) => secrets !== undefined || certificate === undefined || provesEnough(certificate), {
        path: ['certificate'],
        error: whySharedNeedsMore,
      })
      .meta({ description });
  },
  example: '{ secrets: env:QUAY_SECRET }',
  dropIn: quayDropIn,
  allowedImages: ({ images }) => [{ path: [], allowed: allowedImages(images, ofServiceOrPrivate('quay')) }],
  notes: ({ secrets, certificate }) => {
    if (secrets === undefined || certificate === undefined || isOwnQuay(certificate.subject ?? quaySubject)) return [];
    const message =
      'builds are told to https://YOUR-HOST/incoming/SECRET: quay.io shows the same certificate for each of its accounts, so it takes one of secrets beside it';
    return [{ path: ['certificate'], message }];
  },
  clientCertificateAt: ({ certificate }) => (certificate === undefined ? undefined : ['certificate']),
  create(settings, context) {
    const { secrets, certificate } = settings;
    const receivers: OwnReceiver[] = [];
    if (secrets !== undefined) {
      receivers.push(pathSecretReceiver({ name: 'quay', setUpAt: 'Quay', parse }, { ...settings, secrets }, context));
    }
    if (certificate !== undefined) receivers.push(buildReceiver(certificate, settings, context));
    return receivers;
  },
});

function provesEnough({ subject = quaySubject, owners }: CertificateSettings): boolean {
  return isOwnQuay(subject) || owners !== undefined;
}

/** What takes the notifications of builds. That of an own Quay may go without the secret, which the receiver of pushes has. */
function buildReceiver(
  { ca, subject = quaySubject, owners }: CertificateSettings,
  { secrets, networks }: { readonly secrets?: readonly string[]; readonly networks?: readonly string[] },
  context: OwnContext,
): OwnReceiver {
  const byCertificate = byClientCertificate(subject);
  const asked = secrets === undefined || isOwnQuay(subject) ? undefined : context.read(secrets);
  const beside =
    asked === undefined ? '' : ' and, after /incoming/ in the URL or in the header Authorization, one of receivers.quay.secrets';
  return {
    // That of quay-github-actions-dispatch, whose place it takes.
    path: '/incoming',
    ...(asked !== undefined && { secretInPath: true }),
    mediaTypeAdvice: 'This is the path of the webhooks of Quay, which send it by themselves.',
    challenge: 'ClientCertificate realm="landfall"',
    authenticationAdvice: `Expected the TLS client certificate of Quay, with a trusted chain and the name of receivers.quay.certificate.subject${beside}. Send webhooks to this listener's HTTPS URL, or let the proxy in front of it pass the certificate on.`,
    authenticate: fromNetworks(networks, asked === undefined ? byCertificate : allOf(byCertificate, byPathOrHeader(asked))),
    clientCertificates: ca === undefined ? {} : { ca: readAuthorities(resolve(context.directory, ca)) },
    parse: owners === undefined ? parse : (request) => ofOwners(parse(request), owners),
  };
}

/** Without the images of namespaces that are not listed. */
function ofOwners(parsed: ParsedRequest, owners: readonly string[]): ParsedRequest {
  const known = owners.map(asciiLowerCase);
  const images = parsed.images.filter(({ repository }) => known.includes(repository.split('/')[1] ?? ''));
  if (images.length > 0 || parsed.images.length === 0) return { ...parsed, images };
  return { ...parsed, images, ignored: 'its namespace is none of receivers.quay.certificate.owners' };
}

/**
 * The sender showed a certificate in its TLS handshake, or to a trusted proxy, whose chain is trusted and one of whose DNS names is the
 * subject. A certificate that merely carries the name is refused: anybody can write one.
 */
export function byClientCertificate(subject: string): Authenticate {
  const wanted = subject.toLowerCase().split('.');
  // A certificate for `*.quay.io` itself fits the subject `*.quay.io`: its first label is a label as well.
  const fits = (name: string): boolean => {
    // Before lower-casing: some letters outside ASCII become ASCII letters by it.
    if (name.length > longestName || !subjectPattern.test(name)) return false;
    const labels = name.toLowerCase().split('.');
    return labels.length === wanted.length && wanted.every((expected, at) => expected === '*' || expected === labels[at]);
  };
  return ({ certificate }) => {
    if (certificate === undefined) return refused('no client certificate');
    // Before the name: what an untrusted certificate says of itself is worth nothing, not even a hint.
    if (certificate.distrust !== undefined) {
      return refused(`the chain of the client certificate is not trusted: ${certificate.distrust}`);
    }
    return certificate.names.some(fits) ? authentic : refused(`none of the names of the client certificate is ${subject}`);
  };
}

/**
 * @returns the file's text, read at each call
 * @throws Error, then and at once, if there is no certificate in it: nobody could ever be authentic
 */
function readAuthorities(file: string): () => string {
  const read = (): string => {
    const expected = `receivers.quay.certificate.ca: expected certificates (PEM) in the file ${file}`;
    let pem: string;
    try {
      pem = readFileSync(file, 'utf8');
    } catch (error) {
      throw new Error(`${expected}, which cannot be read (${String(codeOf(error) ?? error)})`);
    }
    if (!pem.includes('-----BEGIN CERTIFICATE-----')) throw new Error(`${expected}, found none`);
    return pem;
  };
  read();
  return read;
}

/**
 * The configuration of a Landfall that takes the place of lewagon/quay-github-actions-dispatch: it serves POST /incoming over TLS and
 * passes every build that Quay reports on to GitHub. It understands the same environment: `GH_TOKEN`, `DEBUG`, and the folder `/certs` or
 * the files `CRT` and `KEY`. Beside them, `LANDFALL_CERTS` names another folder, `LANDFALL_CLIENT_CA` (a file) the authorities of the
 * client certificate, `LANDFALL_WEBHOOKS` and `LANDFALL_OPERATORS` (HOST:PORT) where it listens, `GITHUB_API_URL` another GitHub.
 * One of two says who may tell of builds, as the certificate does not: `LANDFALL_SECRET` is what stands after `/incoming/` in the URL of
 * the webhook, `LANDFALL_OWNERS` a list (with commas) of the only namespaces whose builds are passed on. Both may be set.
 * @returns undefined unless the environment asks for it
 * @see https://github.com/lewagon/quay-github-actions-dispatch
 */
export function quayDropIn(env: Environment): DropIn | undefined {
  const tls = certificateOf(env);
  if (!env.GH_TOKEN || tls === undefined) return undefined;
  const { LANDFALL_CLIENT_CA: ca, LANDFALL_OPERATORS: operators, GITHUB_API_URL: url } = env;
  const owners = (env.LANDFALL_OWNERS ?? '').split(/[\s,]+/).filter((owner) => owner !== '');
  const configuration = {
    listen: { webhooks: env.LANDFALL_WEBHOOKS || '0.0.0.0:443', ...(operators && { operators }), tls },
    receivers: {
      quay: {
        ...(env.LANDFALL_SECRET && { secrets: 'env:LANDFALL_SECRET' }),
        certificate: { ...(ca && { ca }), ...(owners.length > 0 && { owners }) },
      },
    },
    forge: { github: { token: 'env:GH_TOKEN', ...(url && { url }) } },
    search: 'off',
    services: [
      {
        image: 'quay.io/*/*',
        tags: { pattern: '.*', order: 'newest' },
        scan: 'off',
        smoke: 'off',
        dispatch: { payload: 'quay' },
      },
    ],
  };
  // JSON is YAML, and quotes whatever the environment may hold.
  return {
    text: JSON.stringify(configuration, undefined, 2),
    serves:
      'in place of quay-github-actions-dispatch: each build that Quay reports is passed on to the GitHub repository of its name',
    because: 'GH_TOKEN and a certificate',
    ...(!env.LANDFALL_SECRET && {
      warning:
        'Every account of quay.io can ask for events to repositories of LANDFALL_OWNERS: set LANDFALL_SECRET, and /incoming/SECRET at Quay.',
    }),
  };
}

/** As `listen.tls` takes it. */
function certificateOf({ CRT, KEY, LANDFALL_CERTS }: Environment): string | { cert: string; key: string } | undefined {
  if (CRT && KEY) return { cert: CRT, key: KEY };
  const folder = LANDFALL_CERTS || '/certs';
  // Of one that is named and not there, the listener says so.
  if (!LANDFALL_CERTS && !existsSync(folder)) return undefined;
  // What Let's Encrypt names its files, and what quay-github-actions-dispatch expects unless it is told otherwise.
  const usual = { cert: join(folder, 'fullchain.pem'), key: join(folder, 'privkey.pem') };
  return existsSync(usual.cert) && existsSync(usual.key) ? usual : folder;
}
