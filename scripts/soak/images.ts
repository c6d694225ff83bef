import type { ImageOptions } from '../../test/support/images.ts';
import { fadingImage, healthyImage } from '../../test/support/production.ts';

/** What is pushed: a good image most of the time. The bad ones fail in the scan, in the smoke test, and in production. */
export const kinds = ['good', 'good', 'good', 'critical', 'exits', 'fades'] as const;
export type Kind = (typeof kinds)[number];

/** @param version of its own for each push, so that each is another digest */
export function imageOf(kind: Kind, version: string): ImageOptions {
  const good = healthyImage(version);
  switch (kind) {
    case 'good':
      return good;
    case 'critical':
      return {
        ...good,
        files: {
          ...good.files,
          'app/node_modules/minimist/package.json': JSON.stringify({ name: 'minimist', version: '1.2.5' }),
        },
      };
    case 'exits':
      return { ...good, cmd: ['sh', '-c', 'echo no configuration; exit 3'] };
    case 'fades':
      return fadingImage(version);
  }
}
