import { createHmac } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';

/** A request as a registry sends it, with what it must start. See test/payloads. */
export interface Vector {
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The bytes that are sent. */
  readonly raw: string;
  readonly images: readonly ExpectedImage[];
  readonly status?: number;
  /** What the expectation depends on: query parameters of the webhook's URL, the prefix of allowed images. */
  readonly query?: Readonly<Record<string, string>>;
  readonly allowedImagePrefix?: string;
}

/** Folders of test/payloads. */
export const vectorSources = [
  'acr',
  'aliyun',
  'cloudevents',
  'distribution',
  'dockerhub',
  'event',
  'gar',
  'github',
  'harbor',
  'jfrog',
  'nexus',
  'quay',
] as const;
export type VectorSource = (typeof vectorSources)[number];

export interface ExpectedImage {
  readonly repository: string;
  readonly tag: string;
  readonly digest: string | null;
  readonly commit?: string;
}

interface VectorFile {
  readonly headers: Record<string, string>;
  readonly body: unknown;
  readonly config?: { readonly query?: Record<string, string>; readonly allowedImagePrefix?: string };
  readonly expect: { readonly images: readonly ExpectedImage[]; readonly status?: number };
}

/** Headers that belong to the connection of the recording. */
const connectionHeaders = ['Host', 'Content-Length', 'Accept-Encoding'];

/**
 * The collection expects one letter too few here: its body says `DingGGu/UtaiteBOX` everywhere, which is `dingggu` in lower case.
 * Vectors are data and stay as they came, so the slip is named here.
 */
const slips: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'registry-package-published-legacy-2019': { 'ghcr.io/dinggu/utaitebox': 'ghcr.io/dingggu/utaitebox' },
};

export function vectorsOf(source: VectorSource): readonly Vector[] {
  const folder = new URL(`../../payloads/${source}/`, import.meta.url);
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => {
      const name = file.slice(0, -'.json'.length);
      const { headers, body, expect, config = {} } = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as VectorFile;
      return {
        name,
        headers: Object.fromEntries(Object.entries(headers).filter(([header]) => !connectionHeaders.includes(header))),
        // The registry writes with three spaces; what it sent had exactly these bytes.
        raw: typeof body === 'string' ? body : JSON.stringify(body, undefined, source === 'distribution' ? 3 : 0),
        images: expect.images.map((image) => ({ ...image, repository: slips[name]?.[image.repository] ?? image.repository })),
        ...(expect.status === undefined ? {} : { status: expect.status }),
        ...(config.query === undefined ? {} : { query: config.query }),
        ...(config.allowedImagePrefix === undefined ? {} : { allowedImagePrefix: config.allowedImagePrefix }),
      };
    });
}

export function githubSignature(secret: string, raw: string | Buffer): Record<string, string> {
  return { 'X-Hub-Signature-256': `sha256=${createHmac('sha256', secret).update(raw).digest('hex')}` };
}

export function bearer(token: string): Record<string, string> {
  return { Authorization: `Bearer ${token}` };
}

/** The smallest form of a GitHub event that is documented to work. */
export const smallestGithubEvent = {
  action: 'published',
  registry_package: {
    name: 'fogis-api-client-python',
    package_type: 'container',
    package_version: { version: 'latest', container_metadata: { tag: { digest: 'sha256:abc123...', name: 'latest' } } },
    registry: { url: 'https://ghcr.io/pitchconnect/fogis-api-client-python' },
  },
  repository: { full_name: 'PitchConnect/fogis-api-client-python' },
};
