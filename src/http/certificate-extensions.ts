/** What of a certificate's extensions Node does not tell, read from its DER (RFC 5280, 4.1 and 4.2). */
export interface CertificateExtensions {
  /** How many more authorities may follow below this one; undefined: any number. */
  readonly pathLength?: number;
  /** Bits of the key usage, the first as 0x80; undefined: any use. */
  readonly keyUsage?: number;
  /** Object identifiers, as hex of their DER: what a verifier has to obey, or to refuse where it cannot. */
  readonly binding: readonly string[];
  /** Object identifier of the signature's algorithm, as hex of its DER. */
  readonly signature: string;
}

export const extensionIds = {
  keyUsage: '551d0f',
  subjectAltName: '551d11',
  basicConstraints: '551d13',
  nameConstraints: '551d1e',
  certificatePolicies: '551d20',
  extendedKeyUsage: '551d25',
} as const;

/** @throws RangeError where it is not DER; OpenSSL has taken it by then, so that cannot be by chance */
export function extensionsOf(certificate: Buffer): CertificateExtensions {
  const [signed, algorithm] = childrenOf(only(certificate));
  const signature = childrenOf(algorithm)[0]?.content.toString('hex') ?? '';
  const wrapped = childrenOf(signed).find(({ tag }) => tag === 0xa3);
  const all = wrapped === undefined ? [] : childrenOf(only(wrapped.content)).map(extensionOf);
  const contentOf = (id: string): Buffer | undefined => all.find((extension) => extension.id === id)?.value;
  const pathLength = pathLengthIn(contentOf(extensionIds.basicConstraints));
  const keyUsage = contentOf(extensionIds.keyUsage);
  return {
    // Limits on names are always meant: RFC 5280, 4.2.1.10.
    binding: all.filter(({ id, critical }) => critical || id === extensionIds.nameConstraints).map(({ id }) => id),
    signature,
    ...(pathLength !== undefined && { pathLength }),
    // BIT STRING: the first byte of the content counts unused bits.
    ...(keyUsage !== undefined && { keyUsage: only(keyUsage).content[1] ?? 0 }),
  };
}

interface Element {
  readonly tag: number;
  readonly content: Buffer;
  /** Bytes after it. */
  readonly rest: Buffer;
}

interface Extension {
  readonly id: string;
  readonly critical: boolean;
  readonly value: Buffer;
}

/** Extension ::= SEQUENCE { extnID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING } */
function extensionOf(element: Element): Extension {
  const parts = childrenOf(element);
  const value = parts.at(-1);
  if (parts[0] === undefined || value === undefined) throw new RangeError('expected an extension');
  return {
    id: parts[0].content.toString('hex'),
    critical: parts.some(({ tag, content }) => tag === 0x01 && content[0] !== 0),
    value: value.content,
  };
}

/** BasicConstraints ::= SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL } */
function pathLengthIn(constraints: Buffer | undefined): number | undefined {
  if (constraints === undefined) return undefined;
  const limit = childrenOf(only(constraints)).find(({ tag }) => tag === 0x02);
  return limit === undefined ? undefined : limit.content.reduce((sum, byte) => sum * 256 + byte, 0);
}

function only(der: Buffer): Element {
  const [tag, first] = der;
  if (tag === undefined || first === undefined) throw new RangeError('expected DER, found its end');
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (lengthBytes > 4) throw new RangeError('expected DER of a moderate length');
  const length = lengthBytes === 0 ? first : der.readUIntBE(2, lengthBytes);
  const from = 2 + lengthBytes;
  if (from + length > der.length) throw new RangeError('expected DER that is whole');
  return { tag, content: der.subarray(from, from + length), rest: der.subarray(from + length) };
}

function childrenOf(element: Element | undefined): readonly Element[] {
  const children: Element[] = [];
  for (let rest = element?.content ?? Buffer.alloc(0); rest.length > 0; ) {
    const child = only(rest);
    children.push(child);
    rest = child.rest;
  }
  return children;
}
