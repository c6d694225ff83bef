import { z } from 'zod';
import { InvalidReference, type Repository, registryOf } from '../../domain/image-reference.ts';
import { matchesPattern, parseImagePattern } from '../../settings/image-pattern.ts';
import { showInPlaceOfText, showValue } from '../../settings/wording.ts';

/** Which images a receiver may tell of: whoever has the secret of one registry's webhooks must not speak for another registry. */
export interface AllowedImages {
  includes(repository: Repository): boolean;
  /**
   * What is known of a registry: `own`: this source's, or listed; `possible`: nobody has said that it is, and no other source's either;
   * `foreign`: nothing of it is taken.
   */
  standingOf(host: string): 'own' | 'possible' | 'foreign';
}

/** Registries in which anybody may have images, by the name of the source that tells of their pushes. */
const hostedRegistries: Readonly<Record<string, RegExp>> = {
  github: /^(?:ghcr\.io|(?:docker|containers)\.pkg\.github\.com)$/,
  quay: /^quay\.io$/,
  dockerhub: /^docker\.io$/,
  acr: /\.azurecr\.(?:io|cn|us|de)$/,
  aliyun: /\.aliyuncs\.com$/,
  ecr: /^public\.ecr\.aws$|\.dkr[.-]ecr(?:-fips)?\.[a-z0-9.-]+$/,
  gar: /^(?:[a-z-]+\.)?gcr\.io$|\.pkg\.dev$/,
  jfrog: /\.jfrog\.io$/,
};

/** What is known of hosts where the configuration lists no images. */
type HostRule = AllowedImages['standingOf'];

/** Of a hosted service: only its own registries. */
export function ofService(source: string): HostRule {
  return (host) => (hostedRegistries[source]?.test(host) ? 'own' : 'foreign');
}

/** Of what people also run themselves: any registry that is not another service's. */
export function ofServiceOrPrivate(source: string): HostRule {
  return (host) => {
    if (hostedRegistries[source]?.test(host)) return 'own';
    return Object.values(hostedRegistries).some((service) => service.test(host)) ? 'foreign' : 'possible';
  };
}

/** Of a sender that may stand for any registry. */
export const ofAny: HostRule = () => 'possible';

/** Of a receiver whose other settings say which registries are its own. */
export function ofHosts(...hosts: readonly string[]): HostRule {
  return (host) => (hosts.includes(host) ? 'own' : 'foreign');
}

/** @param listed the setting `images` @param otherwise what holds where there is none */
export function allowedImages(listed: readonly string[] | undefined, otherwise: HostRule): AllowedImages {
  if (listed === undefined) {
    return { includes: (repository) => otherwise(registryOf(repository)) !== 'foreign', standingOf: otherwise };
  }
  const patterns = listed.map(patternOf);
  return {
    includes: (repository) => patterns.some(({ matches }) => matches(repository)),
    standingOf: (host) => (patterns.some((pattern) => pattern.host === host) ? 'own' : 'foreign'),
  };
}

/** @throws InvalidReference */
function patternOf(text: string): { readonly host: string; readonly matches: (repository: Repository) => boolean } {
  const pattern = parseImagePattern(text);
  return { host: hostOf(pattern.text), matches: (repository) => matchesPattern(pattern, repository) };
}

function hostOf(pattern: string): string {
  return pattern.slice(0, pattern.indexOf('/'));
}

const expected = 'an image such as ghcr.io/team/app or ghcr.io/team/*, or registry.example.org/** for all of a registry';

const imagesPattern = z
  .string({ error: ({ input }) => `expected ${expected}, found ${showInPlaceOfText(input)}` })
  .refine(isPattern, { error: ({ input }) => `expected ${expected}, found ${showValue(input)}` });

function isPattern(text: string): boolean {
  try {
    patternOf(text);
    return true;
  } catch (error) {
    if (error instanceof InvalidReference) return false;
    throw error;
  }
}

/** The setting of each receiver. @param usual what may be told of without it */
export function imagesSetting(usual: string) {
  return z
    .array(imagesPattern)
    .min(1)
    .meta({
      description: `Images that it may tell of, such as ghcr.io/team/*, or registry.example.org/** for all of a registry. Default: ${usual}.`,
    })
    .exactOptional();
}

/** What `ofServiceOrPrivate` means, for people. */
export const privateRegistries = "those of registries that are not another source's (such as ghcr.io, docker.io or quay.io)";
