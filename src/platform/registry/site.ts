import { isIP } from 'node:net';

/*
 * Which hosts are of one owner, by their names alone: whether the password of a registry may go to a token server elsewhere.
 */

/** Where each name belongs to somebody else, though the list below does not show it. */
const shared: readonly string[] = [
  'amazonaws.com',
  'azurecr.io',
  'azurewebsites.net',
  'cloudapp.azure.com',
  'cloudfront.net',
  'cloudsmith.io',
  'duckdns.org',
  'fly.dev',
  'github.io',
  'gitlab.io',
  'googleapis.com',
  'herokuapp.com',
  'jfrog.io',
  'netlify.app',
  'ngrok.io',
  'nip.io',
  'ocir.io',
  'pages.dev',
  'pkg.dev',
  'run.app',
  'sslip.io',
  'ts.net',
  'vercel.app',
  'workers.dev',
];
/** `example.co.uk` belongs to somebody, `co.uk` does not. */
const secondLevels = /^(?:ac|ad|co|com|edu|go|gob|gouv|gov|ltd|mil|ne|net|nhs|nom|or|org|plc|sch)\.[a-z]{2}$/;
/** Names that only one network has: all of them are its owner's. */
const ownNetworks = /^(?:corp|home|internal|intranet|lan|local|localdomain|private|test|home\.arpa)$/;
/** Registries whose token servers are on another site of the same owner. */
const sameOwner: readonly (readonly string[])[] = [['scw.cloud', 'scaleway.com']];

/** @param one a host name, as `other`, without port */
export function isSameSite(one: string, other: string): boolean {
  if (one === other) return true;
  if (isIP(one.replace(/^\[|\]$/g, '')) > 0 || isIP(other.replace(/^\[|\]$/g, '')) > 0) return false;
  const isBelow = (host: string, domain: string) => host === domain || host.endsWith(`.${domain}`);
  if (sameOwner.some((sites) => [one, other].every((host) => sites.some((site) => isBelow(host, site))))) return true;
  if ([one, other].some((host) => shared.some((domain) => isBelow(host, domain)))) return false;
  const common = commonEnd(one.split('.'), other.split('.')).join('.');
  return ownNetworks.test(common) || (common.includes('.') && !secondLevels.test(common));
}

function commonEnd(one: readonly string[], other: readonly string[]): readonly string[] {
  let length = 0;
  while (length < Math.min(one.length, other.length) && one.at(-1 - length) === other.at(-1 - length)) length++;
  return one.slice(one.length - length);
}
