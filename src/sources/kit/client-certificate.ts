import { z } from 'zod';
import { type Authenticate, authentic, refused } from '../../http/authentication.ts';
import { showValue } from '../../settings/wording.ts';

/** A TLS client certificate as the proof of who sends: its chain is verified by the listener, its name here. */

const label = String.raw`(?:\*|[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)`;
const subjectPattern = new RegExp(String.raw`^${label}(?:\.${label})*$`);
/** DNS allows no longer name, and X.509 no common name of more than 64 characters. */
const longestName = 253;

/** A DNS name, or a pattern of one: `*` stands for one label. */
export const certificateSubject = z
  .string({ error: (issue) => `expected a name such as hooks.example.org or *.example.org, found ${showValue(issue.input)}` })
  .refine((value) => value.length <= longestName && subjectPattern.test(value) && /[^*.]/.test(value), {
    error: (issue) =>
      `expected a name such as hooks.example.org or *.example.org (* stands for one whole label), found ${showValue(issue.input)}`,
  });

/**
 * The sender showed a certificate in its TLS handshake, or to a trusted proxy, whose chain is trusted and one of whose names (common name
 * and DNS names) is the subject. A certificate that merely carries the name is refused: anybody can write one.
 */
export function byClientCertificate({ subject }: { readonly subject: string }): Authenticate {
  const fits = createFits(subject);
  return ({ certificate }) => {
    if (certificate === undefined) return refused('no client certificate');
    // Before the name: what an untrusted certificate says of itself is worth nothing, not even a hint.
    if (certificate.distrust !== undefined) {
      return refused(`the chain of the client certificate is not trusted: ${certificate.distrust}`);
    }
    return certificate.names.some(fits) ? authentic : refused(`none of the names of the client certificate is ${subject}`);
  };
}

/** A certificate for `*.quay.io` itself fits the subject `*.quay.io`: its first label is a label as well. */
function createFits(subject: string): (name: string) => boolean {
  const wanted = subject.toLowerCase().split('.');
  return (name) => {
    // Before lower-casing: some letters outside ASCII become ASCII letters by it.
    if (name.length > longestName || !subjectPattern.test(name)) return false;
    const labels = name.toLowerCase().split('.');
    return labels.length === wanted.length && wanted.every((expected, at) => expected === '*' || expected === labels[at]);
  };
}
