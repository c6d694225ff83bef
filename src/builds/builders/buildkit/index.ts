import type { z } from 'zod';
import { text } from '../../../settings/scalars.ts';
import { map, optional } from '../../../settings/wording.ts';
import { defineBuilder } from '../../builder.ts';

const file = (what: string) => optional(text('a file'), `${what} (PEM), relative to this file.`);

const schema = () =>
  map(
    {
      address: text(
        'an address such as tcp://buildkitd:1234 or unix:///run/buildkit/buildkitd.sock',
        /^(?:tcp|unix|docker-container|kube-pod|podman-container|ssh):\/\/\S+$/,
      ).describe('Where buildkitd listens.'),
      ca: file('Whom to trust'),
      cert: file('The certificate that is shown to it'),
      key: file('Its private key'),
    },
    'A BuildKit daemon, asked by its own client buildctl.',
  ).refine(({ cert, key }) => (cert === undefined) === (key === undefined), {
    error: 'expected cert and key, or neither of them',
  });

export const buildkitBuilder = defineBuilder({
  kind: 'buildkit',
  keys: 'address, ca, cert, key',
  schema,
  resolve: (input: z.output<ReturnType<typeof schema>>) => input,
  async create(context) {
    const { createBuildKit } = await import('./builder.ts');
    return createBuildKit(context);
  },
});
