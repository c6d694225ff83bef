import { z } from 'zod';
import { isTag, type Repository, type Tag } from '../../domain/image-reference.ts';
import { malformed } from '../../http/problem.ts';
import { fullNameIn, repositoryIn } from '../kit/image.ts';
import { commitHash, deliveryIdOf, part, present, requireObject, texts } from '../kit/reading.ts';
import type { AuthenticRequest, ParsedRequest } from '../kit/source.ts';

/** Old versions of Quay send a map from tags to ids. */
const tags = z
  .union([z.array(z.unknown()), z.record(z.string(), z.unknown()).transform((ids) => Object.keys(ids))])
  .optional()
  .catch(undefined);

const notificationSchema = z.object({
  ...texts('repository', 'namespace', 'name', 'docker_url', 'build_id', 'build_name', 'image_id', 'error_message'),
  updated_tags: tags,
  docker_tags: tags,
  manifest_digests: z.array(z.unknown()).optional().catch(undefined),
  is_manual: z.boolean().optional().catch(undefined),
  trigger_metadata: part(texts('commit', 'commit_sha', 'git_url')),
  vulnerability: z.unknown().optional(),
  vulnerabilities: z.unknown().optional(),
});
type QuayNotification = z.infer<typeof notificationSchema>;

/** The build of Quay's test notification, each time: whoever presses the button again wants to see it arrive again. */
const ofEveryTest = 'fake-build-id';

/** Far more than anybody gives an image at once. */
const mostTags = 1000;

/** Why a notification starts nothing, by Quay's own name of its event. */
const unwanted = {
  build_queued: 'a build was queued: expected a pushed tag or a successful build',
  build_start: 'a build was started or cancelled: expected a pushed tag or a successful build',
  build_failure: 'a build has failed: expected a pushed tag or a successful build',
  vulnerability_found: 'a vulnerability was found: expected a pushed tag or a successful build',
  notification: 'expected a pushed tag or a successful build',
} as const;
type QuayEvent = 'repo_push' | 'build_success' | keyof typeof unwanted;

/**
 * A notification of Quay about a repository. No field names the event, and no tag comes with its digest.
 * @see https://docs.redhat.com/en/documentation/red_hat_quay/3/html/use_red_hat_quay/repository-events
 * @see https://github.com/quay/quay/blob/master/notifications/notificationevent.py
 * @throws Problem 400
 */
export function parseQuayNotification({ body }: AuthenticRequest): ParsedRequest {
  const notification = notificationSchema.parse(requireObject(body));
  const { repository: name, namespace, docker_url: url } = notification;
  if (!name && !namespace && !url) throw malformed('Expected a notification with docker_url or repository.');
  const event = eventOf(notification);
  const { build_id: written, trigger_metadata: trigger } = notification;
  // It stands in the id of a workflow and in the log.
  const buildId = written !== undefined && /^[A-Za-z0-9][\w.-]{0,99}$/.test(written) ? written : undefined;
  const seen = { event, deliveryId: buildId === undefined || buildId === ofEveryTest ? deliveryIdOf() : buildId };
  if (event !== 'repo_push' && event !== 'build_success') return { ...seen, images: [], ignored: unwanted[event] };
  const repository = repositoryOf(notification);
  const origin = present({
    buildId,
    // It had another name in old triggers; a build by hand of an uploaded Dockerfile has none.
    commit: commitHash(trigger?.commit) ?? commitHash(trigger?.commit_sha),
    sourceRepository: sourceRepositoryOf(trigger?.git_url),
  });
  const images = tagsOf(event, notification).map((tag) => ({ repository, ...origin, tag }));
  return images.length > 0 ? { ...seen, images } : { ...seen, images, ignored: 'no tag was pushed' };
}

/**
 * Told by the shape. Every build comes with its tags and what triggered it; only one that is queued says whether by hand, and only a
 * successful one has an image. Quays that are old enough to send no image with a success (nor a name with any build) send the same for a
 * build that is started: it is taken for a success, because what is in the registry is looked up anyway.
 */
function eventOf(notification: QuayNotification): QuayEvent {
  const { updated_tags, docker_tags, build_id, trigger_metadata } = notification;
  if (updated_tags !== undefined) return 'repo_push';
  if (docker_tags === undefined && build_id === undefined && trigger_metadata === undefined) {
    const { vulnerability, vulnerabilities } = notification;
    return (vulnerability ?? vulnerabilities) ? 'vulnerability_found' : 'notification';
  }
  if (notification.error_message !== undefined) return 'build_failure';
  if (notification.image_id || notification.manifest_digests !== undefined) return 'build_success';
  if (notification.is_manual !== undefined) return 'build_queued';
  return notification.build_name === undefined ? 'build_success' : 'build_start';
}

/** `docker_url` has no scheme, and its host is the registry's. @throws Problem 400 if there is none */
function repositoryOf({ docker_url, repository, namespace, name }: QuayNotification): Repository {
  const found = repositoryIn(docker_url?.trim() || `quay.io/${fullNameIn(repository, namespace, name) ?? ''}`);
  if (found === undefined)
    throw malformed('Expected the image with its registry in docker_url, or NAMESPACE/NAME in repository.');
  return found;
}

/** Without any list of tags, Quay gives what it has built the tag `latest`. */
function tagsOf(event: 'repo_push' | 'build_success', { updated_tags, docker_tags }: QuayNotification): readonly Tag[] {
  const named = (event === 'repo_push' ? updated_tags : docker_tags) ?? ['latest'];
  if (named.length > mostTags) throw malformed(`Expected at most ${mostTags} tags.`);
  return [...new Set(named.filter((tag): tag is Tag => typeof tag === 'string' && isTag(tag)))];
}

/**
 * The source repository of a build, from the URL that Quay cloned: `git@github.com:org/repo.git` is `org/repo`; one of another forge is
 * a URL without credentials, because `owner/name` would mean GitHub.
 * @returns undefined for anything else
 */
function sourceRepositoryOf(gitUrl = ''): string | undefined {
  // No forge's URL is as long.
  if (gitUrl.trim().length > 300) return undefined;
  const url = gitUrl.trim().replace(/^(?:[\w.-]+@)?([\w.-]+):(?!\/)(.+)$/, 'ssh://$1/$2');
  if (!URL.canParse(url)) return undefined;
  const { protocol, host, hostname, pathname } = new URL(url);
  const isWeb = protocol === 'https:' || protocol === 'http:';
  if (!isWeb && protocol !== 'ssh:' && protocol !== 'git:') return undefined;
  const path = pathname
    .slice(1)
    .replace(/\/$/, '')
    .replace(/\.git$/, '');
  if (!/^[\w.-]+(?:\/[\w.-]+){1,7}$/.test(path) || path.split('/').some((part) => /^\.{1,2}$/.test(part))) return undefined;
  // As a browser would reach it.
  const origin = isWeb ? `${protocol}//${host}` : `https://${hostname.toLowerCase()}`;
  return origin === 'https://github.com' && path.split('/').length === 2 ? path : `${origin}/${path}`;
}
