/**
 * What the workflow of the deployment repository is told.
 * @typedef {{ service: string, image: string, tag: string, digest?: string, repository?: string }} PublishedImage
 */

const imagePattern = /^[a-z0-9.-]+(?::\d+)?(?:\/[a-z0-9][a-z0-9._-]*)+$/;
const tagPattern = /^\w[\w.-]{0,127}$/;
const digestPattern = /^sha256:[0-9a-f]{64}$/;

/**
 * The image of an event `registry_package` or `package`.
 * @param {any} event whatever GitHub sent
 * @returns {PublishedImage | { ignored: string } | { problem: string }}
 */
export function publishedImage(event) {
  const { action, repository } = event ?? {};
  const published = event?.registry_package ?? event?.package;
  if (published === undefined) return { ignored: 'no package was published' };
  if (!['published', 'updated', 'create'].includes(action)) return { ignored: 'expected the action published or updated' };
  const types = [published.package_type || published.ecosystem, published.registry?.type].map((type) => type?.toLowerCase());
  if (!types.includes('container') && types[0] !== 'docker') return { ignored: 'the package is not a container image' };
  const { version, name, container_metadata: metadata } = published.package_version ?? {};
  const config = metadata?.manifest?.config?.media_type;
  if (config && !config.includes('image')) return { ignored: 'the package is an artifact, but not a container image' };
  // Short events have the tag where others have the digest.
  const elsewhere = action === 'updated' ? [] : [version, name].filter((text) => tagPattern.test(text ?? ''));
  const { name: tag = elsewhere[0], digest } = metadata?.tag ?? {};
  // Signatures and attestations are pushed beside an image, under tags of this form.
  if (!tag || /^sha256-/.test(tag)) return { ignored: 'no tag was pushed' };
  const image = imageOf(published, repository?.full_name);
  if (!imagePattern.test(image) || !tagPattern.test(tag)) return { problem: 'Expected the image and its tag in the package.' };
  return {
    service: image.slice(image.lastIndexOf('/') + 1),
    ...{ image, tag },
    ...(digestPattern.test(digest ?? '') && { digest }),
    ...(typeof repository?.full_name === 'string' && { repository: repository.full_name }),
  };
}

/**
 * GitHub keeps the case that people typed; images are in small letters.
 * @param {any} published
 * @param {string} [sourceRepository]
 * @returns {string}
 */
function imageOf({ name, namespace, owner, registry, package_version: version }, sourceRepository = '') {
  const [url, home] = [version?.package_url, registry?.url].map((text) => String(text ?? '').replace(/^https?:\/\//, ''));
  const whole = [url?.replace(/[:@][^/]*$/, ''), home].find((text) => (text ?? '').split('/').length > 2);
  return (whole ?? `ghcr.io/${owner?.login ?? namespace ?? sourceRepository.split('/')[0]}/${name}`).toLowerCase();
}
