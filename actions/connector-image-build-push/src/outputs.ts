import { setOutput } from '@actions/core';

/** What is known of a connector's image before anything is done about it. */
export interface ConnectorImage {
  readonly name: string;
  readonly type: string;
  readonly folder: string;
  readonly baseImage: string;
  readonly tag: string;
  /** With its tag. */
  readonly image: string;
  /** Each with its image. */
  readonly tags: readonly string[];
}

export function tell({ name, type, folder, baseImage, tag, image, tags }: ConnectorImage): void {
  const outputs = {
    'connector-name': name,
    'connector-type': type,
    'connector-dir': folder,
    'base-image': baseImage,
    'connector-version-tag': tag,
    'connector-image-name': image,
    'docker-tags': tags.join(','),
    'build-executed': 'false',
    'push-executed': 'false',
  };
  for (const [output, value] of Object.entries(outputs)) setOutput(output, value);
}
