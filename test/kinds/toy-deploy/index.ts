import { readFile, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { defineDeploy, type Target } from '../../../src/deploys/deploy.ts';
import type { Deployed, RunningImage } from '../../../src/domain/outcomes.ts';
import { map } from '../../../src/settings/wording.ts';

interface NoteDeploy {
  readonly file: string;
}

async function noted({ deploy, image }: Target<NoteDeploy>): Promise<RunningImage[]> {
  const reference = await readFile(deploy.file, 'utf8').catch(() => undefined);
  if (reference === undefined) return [];
  return [{ name: deploy.file, reference, ...(reference.endsWith(image.digest) && { digest: image.digest }) }];
}

/** Whoever reads the note runs what it names. */
export const toyDeploy = defineDeploy({
  kind: 'note',
  asks: 'the reader',
  schema: map({ file: z.string().exactOptional() }, 'Where the image is noted.'),
  resolve: ({ file = '/tmp/{service}' }) => ({ settings: { file }, timeoutMs: 10_000 }),
  fill: ({ file }, fill) => ({ file: fill(file) }),
  create: () => {
    const note = async (target: Target<NoteDeploy>, reference: string): Promise<Deployed> => {
      await writeFile(target.deploy.file, reference);
      return { kind: 'deployed', changed: true, running: await noted(target), text: 'noted for the reader' };
    };
    return {
      running: noted,
      deploy: (target) => note(target, `${target.image.repository}:${target.image.tag}@${target.image.digest}`),
      restore: (target, [before]) => note(target, before?.reference ?? ''),
      settle: async () => {},
    };
  },
});
