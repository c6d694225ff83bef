import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { codeOf } from '../../domain/errors.ts';
import { text } from '../../settings/scalars.ts';
import { map } from '../../settings/wording.ts';
import { fromNetworks } from '../kit/authentication.ts';
import { byClientCertificate, certificateSubject } from '../kit/client-certificate.ts';
import { createPathSecretReceiver, secretOfPath, senderNetworks } from '../kit/path-secret.ts';
import type { Receiver } from '../kit/receiver.ts';
import { readSecrets } from '../kit/settings.ts';
import { defineSource } from '../kit/source.ts';
import { quayDropIn } from './drop-in.ts';
import { parseQuayNotification as parse } from './notification.ts';

const source = 'quay';
/** The common name of the certificate that quay.io shows. */
const quaySubject = '*.quay.io';

const certificate = map(
  {
    ca: text('a file')
      .meta({
        description:
          'Certificate authorities (PEM) that the chain of the certificate must lead to; relative to this file. Default: those of Node.',
      })
      .exactOptional(),
    subject: certificateSubject
      .meta({
        description: `Common name or DNS name that the certificate must have; * stands for one label. Default: ${quaySubject}.`,
      })
      .exactOptional(),
  },
  'The TLS client certificate that Quay shows.',
);

/**
 * Notifications of Quay. It signs nothing: either the URL ends in a secret, or Quay shows its client certificate, as quay.io does to
 * every HTTPS URL.
 */
export const quaySource = defineSource({
  name: source,
  settings: (check) => {
    const description = 'Quay notifications on POST /webhook/quay/SECRET; with certificate, on POST /incoming.';
    return map(
      {
        secrets: secretOfPath(check).exactOptional(),
        networks: senderNetworks,
        certificate: certificate.exactOptional(),
      },
      description,
    )
      .refine((settings) => settings.secrets !== undefined || settings.certificate !== undefined, {
        error: 'expected secrets, or certificate (which may be {}), or both',
      })
      .meta({ description });
  },
  example: '{ secrets: env:QUAY_SECRET }',
  dropIn: quayDropIn,
  clientCertificateAt: ({ certificate: asked }) => (asked === undefined ? undefined : ['certificate']),
  create({ secrets, networks, certificate }, context) {
    const receivers: Receiver[] = [];
    if (secrets !== undefined) {
      const read = readSecrets(secrets, context.secrets, 'receivers.quay.secrets');
      receivers.push(createQuayReceiver(read, networks));
    }
    if (certificate !== undefined) {
      const { ca, subject = quaySubject } = certificate;
      const authorities = ca === undefined ? undefined : readAuthorities(resolve(context.directory, ca));
      receivers.push(createQuayBuildReceiver({ subject, ...(authorities && { ca: authorities }) }, networks));
    }
    return receivers;
  },
});

export function createQuayReceiver(secrets: () => readonly string[], networks?: readonly string[]): Receiver {
  return { ...createPathSecretReceiver({ source, setUpAt: 'Quay' }, secrets, networks), parse };
}

interface QuayCertificate {
  readonly subject: string;
  /** PEM. */
  readonly ca?: () => string;
}

/** The path is that of quay-github-actions-dispatch, whose place it takes. */
export function createQuayBuildReceiver({ subject, ca }: QuayCertificate, networks?: readonly string[]): Receiver {
  return {
    source,
    path: '/incoming',
    mediaTypes: ['application/json'],
    mediaTypeAdvice: 'This is the path of the webhooks of Quay, which send it by themselves.',
    namesOneOfSeveralTags: false,
    challenge: 'ClientCertificate realm="landfall"',
    authenticationAdvice:
      "Expected the TLS client certificate of Quay, with a trusted chain and the name of receivers.quay.certificate.subject. Send webhooks to this listener's HTTPS URL, or let the proxy in front of it pass the certificate on.",
    authenticate: fromNetworks(networks, byClientCertificate({ subject })),
    clientCertificates: ca === undefined ? {} : { ca },
    parse,
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
      const code = String(codeOf(error) ?? error);
      throw new Error(`${expected}, which cannot be read (${code})`);
    }
    if (!pem.includes('-----BEGIN CERTIFICATE-----')) throw new Error(`${expected}, found none`);
    return pem;
  };
  read();
  return read;
}
