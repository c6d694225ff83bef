/** Docker copies an image's labels to its containers and does not mark them; the functions below tell them apart. Null if there are none. */
export type Labels = Readonly<Record<string, string>> | null | undefined;

/** Whether a label was set on the container itself. One that was set to just what the image says counts as the image's. */
export function isOwnLabel(label: string, container: Labels, image: Labels): boolean {
  return container?.[label] !== undefined && container[label] !== image?.[label];
}

const composePrefix = 'com.docker.compose.';

/**
 * Whether Compose made a container, and not only its image says so. An image that Compose has built does say for which project and service,
 * but no image can have all that Compose writes on a container: the image's own id is among it.
 * @param image undefined if the image is gone: then its labels are believed
 */
export function isMadeByCompose(container: Labels, image: Labels): boolean {
  return Object.keys(container ?? {}).some((label) => label.startsWith(composePrefix) && isOwnLabel(label, container, image));
}
