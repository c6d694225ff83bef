import { basename, join } from 'node:path';
import { type Environment, run } from './run.ts';

/** Where the demo deploys to: a checkout of the deployment repository, and what Docker Compose runs of it. */
export interface Production {
  readonly directory: string;
  readonly project: string;
  /** Where the service `web` answers, without a slash at the end. */
  readonly url: string;
  /** What runs, and what it answers, to be compared. */
  look(): Promise<Sight>;
  destroy(): Promise<void>;
}

export interface Sight {
  /** The image of the running container, as it was configured with. */
  readonly image: string;
  readonly container: string;
  /** Status and body of the answer to `/health`. */
  readonly health: string;
}

interface Options {
  readonly folder: string;
  readonly port: number;
  /** The deployment repository. */
  readonly remote: string;
  /** Host of the registry. */
  readonly registry: string;
  readonly docker: string;
  readonly env: Environment;
}

export async function createProduction({ folder, port, remote, registry, docker, env }: Options): Promise<Production> {
  const directory = join(folder, 'production');
  const project = basename(folder).toLowerCase();
  const url = `http://127.0.0.1:${port}`;
  const ofProject = ['--filter', `label=com.docker.compose.project=${project}`];
  await run('git', ['clone', '--quiet', remote, directory], { env });

  const look = async (): Promise<Sight> => {
    const format = '{{.ID}} {{.Image}}';
    const listed = await run(docker, ['ps', '--no-trunc', '--format', format, ...ofProject], { env });
    const [container = '', image = ''] = listed.trim().split(' ');
    const answer = await fetch(`${url}/health`);
    return { container, image, health: `${answer.status} ${(await answer.text()).trim()}` };
  };
  const removeAll = async (kind: 'container' | 'network'): Promise<void> => {
    const all = kind === 'container' ? ['--all'] : [];
    const ids = (await run(docker, [kind, 'ls', '--quiet', ...all, ...ofProject], { env })).split(/\s+/).filter(Boolean);
    if (ids.length > 0) await run(docker, [kind, 'rm', ...(kind === 'container' ? ['--force'] : []), ...ids], { env });
  };
  /** What ran before is kept under a tag of Landfall's own. */
  const removeKept = async (): Promise<void> => {
    const format = '{{.Repository}}:{{.Tag}}';
    const kept = await run(docker, ['image', 'ls', '--format', format, '--filter', 'reference=landfall/keep'], { env });
    for (const name of kept.split(/\s+/).filter(Boolean)) {
      const digests = await run(docker, ['image', 'inspect', '--format', '{{.RepoDigests}}', name], { env });
      if (digests.includes(`${registry}/`)) await run(docker, ['image', 'rm', name], { env });
    }
  };
  return {
    directory,
    project,
    url,
    look,
    async destroy() {
      await removeAll('container');
      await removeAll('network');
      await removeKept();
    },
  };
}
