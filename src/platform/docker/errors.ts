import { codeOf, messageOf } from '../../domain/errors.ts';
import { RateLimit, Refusal } from '../../domain/failures.ts';

/** The status that the daemon answered with, where it answered at all. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : undefined;
}

/** There is no such container, network or image. */
export function isMissing(error: unknown): boolean {
  return statusOf(error) === 404;
}

/** For a `catch`: what is not there is undefined. */
export function unlessMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}

/** The daemon is busy with it, or something else uses it. */
export function isConflict(error: unknown): boolean {
  return statusOf(error) === 409;
}

const unreachable = new Set(['ECONNREFUSED', 'ENOENT', 'EACCES', 'EPERM', 'ENOTFOUND', 'EHOSTUNREACH', 'ETIMEDOUT']);

/** An error of the connection itself gets advice; any other stays what it is. */
export function explainUnreachable(error: unknown): unknown {
  const code = String(codeOf(error) ?? '');
  if (!unreachable.has(code)) return error;
  return new Error(
    `Docker does not answer (${messageOf(error)}): start it, or say where it is with DOCKER_HOST or 'docker context use', ` +
      'and let the worker use its socket',
    { cause: error },
  );
}

/** Docker Hub counts pulls over six hours, and the daemon does not pass on when a registry lets us in again. */
const rateLimitMs = 5 * 60_000;

/** Who pulls, and how it gets credentials for a registry. */
export interface PullClient {
  readonly name: string;
  readonly advice: (registry: string) => string;
}

const byDocker: PullClient = {
  name: 'Docker',
  advice: (registry) => `set registries.${registry} in the configuration, or log the worker's Docker in`,
};

/**
 * What a failed pull means: the daemon answers 500 to all of them, and only its text has the error code of the registry (OCI).
 * @param platform undefined: nobody knows for which one it was pulled
 */
export function pullError(
  reference: string,
  platform: string | undefined,
  error: unknown,
  now: Date,
  { name, advice } = byDocker,
): unknown {
  // A repository may be called `denied`: only what the daemon says beside the name counts.
  const text = messageOf(error)
    .replaceAll(reference, 'the image')
    .replaceAll(reference.slice(0, reference.indexOf('@')), 'it');
  const cause = { cause: error };
  // So may its address, which Docker 29 names as well.
  const said = text.replace(/\bhttps?:\/\/\S+/g, 'the registry');
  if (/toomanyrequests|too many requests|rate limit/i.test(said)) {
    return new RateLimit(`the registry limits pulls of ${reference}: ${text}`, new Date(now.getTime() + rateLimitMs));
  }
  if (platform !== undefined && /no matching manifest|no match for platform/i.test(said))
    return platformMissing(reference, platform, []);
  if (/\b(unauthorized|denied|forbidden|authentication required|no basic auth credentials)\b/i.test(said)) {
    const registry = reference.slice(0, reference.indexOf('/'));
    const message = `${registry} does not let ${name} pull ${reference} (${text}): ${advice(registry)}`;
    return new Refusal('CredentialsRefused', message, [], cause);
  }
  return new Error(`${name} could not pull ${reference}: ${text}`, cause);
}

/** @param has the platforms of the image, if they are known */
export function platformMissing(reference: string, platform: string, has: readonly string[]): Refusal {
  const instead = has.length === 0 ? '' : ` (it is for ${has.join(', ')})`;
  return new Refusal(
    'PlatformMissing',
    `expected ${reference} for ${platform}, the platform of the worker's Docker, but the image is not for it${instead}: ` +
      'push the image for that platform too, or run the smoke tests on a worker whose Docker has the platform',
  );
}
