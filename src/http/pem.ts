import { X509Certificate } from 'node:crypto';

/**
 * The certificates of a PEM text, in their order.
 * @throws Error where one of them is damaged
 */
export function certificatesIn(pem: string): readonly X509Certificate[] {
  const blocks =
    pem.match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new Error('expected certificates in PEM, found one that is damaged; write the file again', { cause: error });
    }
  });
}
