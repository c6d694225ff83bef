import { createHmac } from 'node:crypto';
import type { ReceiverSettings } from '../../../src/sources/index.ts';
import { type OidcIssuer, type SigningKey, startOidcIssuer } from '../../support/oidc-issuer.ts';
import type { VectorSource } from './vectors.ts';

/** With which secret (or, where a token is signed, with which key) a request is made authentic. */
export type Age = 'new' | 'old' | 'removed';

/** Where a source sends, and what shows that it was it. */
export interface Authenticated {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Every source of the vectors as it sends, and the settings of receivers that know the new and the old secrets of all of them. */
export interface Senders {
  readonly settings: (imagePrefix?: string) => ReceiverSettings;
  /** What the references of the settings stand for. */
  readonly env: Readonly<Record<string, string>>;
  authenticate(source: VectorSource, raw: string | Buffer, age: Age): Promise<Authenticated>;
  /** As the source sends, but with nothing that shows that it was it. */
  bare(source: VectorSource): string;
  /** As a forger sends, who knows what is looked at and no secret. */
  forge(source: VectorSource, raw: string | Buffer): Promise<Authenticated>;
  stop(): Promise<void>;
}

const paths: Readonly<Record<VectorSource, string>> = {
  acr: '/webhook/acr',
  aliyun: '/webhook/aliyun',
  cloudevents: '/webhook/cloudevents',
  distribution: '/webhook/distribution',
  dockerhub: '/webhook/dockerhub',
  event: '/event',
  gar: '/webhook/gar',
  github: '/webhook/image-published',
  harbor: '/webhook/harbor',
  jfrog: '/webhook/jfrog',
  nexus: '/webhook/nexus',
  quay: '/webhook/quay',
};

const claims = {
  event: { aud: 'https://landfall.example.org', repository_owner: 'Test-Org', repository: 'Test-Org/app' },
  gar: { aud: 'https://landfall.example.org/webhook/gar', email: 'push@project.iam.gserviceaccount.com', email_verified: true },
} as const;

export async function startSenders(): Promise<Senders> {
  const issuer = await startOidcIssuer();
  const keys = await threeKeys(issuer);
  const references = ['env:SENDER_NEW', 'env:SENDER_OLD?'];
  const canaries: Readonly<Record<Age, string>> = {
    new: 'canary-new-0b6f4e17',
    old: 'canary-old-9d12c35a',
    removed: 'canary-removed-77ab20',
  };
  const authenticate = async (source: VectorSource, raw: string | Buffer, secret: string, key: SigningKey) => {
    const path = paths[source];
    const by = (headers: Record<string, string>): Authenticated => ({ path, headers });
    switch (source) {
      case 'github':
        return by({ 'X-Hub-Signature-256': `sha256=${hmac('sha256', secret, raw)}` });
      case 'jfrog':
        return by({ 'X-Jfrog-Event-Auth': hmac('sha256', secret, raw) });
      case 'nexus':
        return by({ 'X-Nexus-Webhook-Signature': hmac('sha1', secret, raw) });
      case 'harbor':
        return by({ Authorization: secret });
      case 'distribution':
      case 'cloudevents':
        return by({ Authorization: `Bearer ${secret}` });
      case 'event':
      case 'gar': {
        const token = await issuer.sign(claims[source], { kid: key.kid, alg: key.alg, key: key.key });
        return by({ Authorization: `Bearer ${token}` });
      }
      default:
        return { path: `${path}/${secret}`, headers: {} };
    }
  };
  return {
    settings: (imagePrefix = 'ghcr.io/') => ({
      github: { secrets: references },
      distribution: { token: references },
      quay: { secrets: references },
      dockerhub: { secrets: references },
      acr: { secrets: references },
      aliyun: { secrets: references },
      harbor: { secrets: references },
      jfrog: { secrets: references },
      nexus: { secrets: references, host: 'nexus.example.com' },
      cloudevents: { secrets: references },
      gar: { audience: [claims.gar.aud], email: [claims.gar.email], issuer: issuer.url },
      event: {
        audience: [claims.event.aud],
        issuers: [{ github: issuer.url, owners: ['test-org'] }],
        imagePrefix: [imagePrefix],
      },
    }),
    env: { SENDER_NEW: canaries.new, SENDER_OLD: canaries.old },
    authenticate: (source, raw, age) => authenticate(source, raw, canaries[age], keys[age]),
    bare: (source) => paths[source],
    forge: async (source, raw) => {
      // The right kid with another key's signature, and a secret that is nearly the right one.
      const key = { ...keys.removed, kid: keys.new.kid };
      return await authenticate(source, raw, `${canaries.new.slice(0, -1)}8`, key);
    },
    stop: () => issuer.stop(),
  };
}

/** The issuer still publishes the old one beside the new one, as issuers do while they rotate. */
async function threeKeys(issuer: OidcIssuer): Promise<Record<Age, SigningKey>> {
  const removed = issuer.newest();
  const old = await issuer.rotate();
  const latest = await issuer.rotate();
  const published = JSON.stringify({ keys: [latest.jwk, old.jwk] });
  issuer.serveKeys((response) => void response.setHeader('Content-Type', 'application/json').end(published));
  return { new: latest, old, removed };
}

function hmac(algorithm: 'sha256' | 'sha1', secret: string, raw: string | Buffer): string {
  return createHmac(algorithm, secret).update(raw).digest('hex');
}
