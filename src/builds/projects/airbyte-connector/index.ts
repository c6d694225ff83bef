import type { z } from 'zod';
import { map } from '../../../settings/wording.ts';
import { defineProject } from '../../project.ts';
import { readConnector } from './connector.ts';

const schema = () => map({}, "A connector of a repository like Airbyte's, in Python or manifest-only.");

/** Connectors are built from the templates of their repository, and show that they work by what they answer to `spec`. */
export const airbyteConnectorProject = defineProject({
  kind: 'airbyte-connector',
  keys: 'none',
  schema,
  resolve: (input: z.output<ReturnType<typeof schema>>) => input,
  usual: {
    tag: '{version}',
    path: 'airbyte-integrations/connectors/*',
    platforms: ['linux/amd64', 'linux/arm64'],
    test: { run: ['spec'], json: { type: 'SPEC' } },
  },
  read: ({ root, path }) => readConnector(root, path),
});
