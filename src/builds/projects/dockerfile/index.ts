import { z } from 'zod';
import { Refusal } from '../../../domain/failures.ts';
import { type SecretCheck, secret, text } from '../../../settings/scalars.ts';
import { map, optional } from '../../../settings/wording.ts';
import { kindAt, withinCheckout } from '../../files.ts';
import { type BuildProject, defineProject, type ProjectFolder } from '../../project.ts';

const relativePath = (what: string) => text(what, /^(?!\/)[^\0\r\n]+$/);

function schema(check: SecretCheck) {
  return map(
    {
      context: optional(
        relativePath('a folder'),
        'What the build sees, relative to the folder of the build. Default: that folder.',
      ),
      file: optional(relativePath('a file'), 'Relative to the folder of the build. Default: Dockerfile.'),
      target: optional(text('the name of a stage'), 'Default: the last stage.'),
      args: optional(
        z.record(text('the name of a build argument', /^\w+$/), z.string()),
        'Build arguments. Everybody who may pull the image can read them.',
      ),
      secrets: optional(
        z.record(text('the id of a secret', /^[\w.-]+$/), secret(check)),
        'What RUN --mount=type=secret,id=NAME mounts; no layer has it.',
      ),
    },
    'A Dockerfile.',
  );
}

type DockerfileSettings = z.output<ReturnType<typeof schema>>;

/** Any folder with a Dockerfile. */
export const dockerfileProject = defineProject({
  kind: 'dockerfile',
  keys: 'context, file, target, args, secrets',
  schema,
  resolve: (input) => input,
  usual: { tag: '{commit}' },
  read: readDockerfile,
});

async function readDockerfile({ root, path }: ProjectFolder, settings: DockerfileSettings): Promise<BuildProject> {
  const { context = '.', file = 'Dockerfile', target, args = {}, secrets = {} } = settings;
  const [folder, dockerfile] = [withinCheckout(path, context), withinCheckout(path, file)];
  if ((await kindAt(root, folder)) !== 'folder')
    throw new Refusal('BuildRefused', `expected the folder ${folder}, found none: see path and dockerfile.context of the build`);
  if ((await kindAt(root, dockerfile)) !== 'file')
    throw new Refusal(
      'BuildRefused',
      `expected a Dockerfile at ${dockerfile}, found none: see path and dockerfile.file of the build`,
    );
  return {
    context: folder,
    dockerfile,
    ...(target !== undefined && { target }),
    arguments: args,
    secrets,
    labels: {},
    facts: { dockerfile },
  };
}
