import { basename, dirname, join, resolve } from 'node:path';
import { jsonIn, memberOf } from '../../../domain/json.ts';
import { findTool } from '../../../platform/tools.mjs';
import type { Builder, BuilderContext, BuildWork } from '../../builder.ts';
import { nativeOf } from '../platforms.ts';
import { askBuilder, runBuild } from '../run.ts';

interface BuildkitSettings {
  readonly address: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export function createBuildKit({ env, baseDir }: BuilderContext): Builder<BuildkitSettings> {
  const client = ({ address, ca, cert, key }: BuildkitSettings): string[] => {
    const program = findTool('buildctl', env);
    if (program === undefined)
      throw new Error(
        "expected buildctl, BuildKit's client, on this host, found none: install it, or name the program in BUILDCTL",
      );
    const files = Object.entries({ tlscacert: ca, tlscert: cert, tlskey: key });
    const tls = files.flatMap(([name, file]) => (file === undefined ? [] : [`--${name}`, resolve(baseDir, file)]));
    return [program, '--addr', address, ...tls];
  };

  return {
    async native(settings, signal) {
      const command = [...client(settings), 'debug', 'workers', '--format', '{{json .}}'];
      const { code, stdout, output } = await askBuilder({ command, env, signal });
      if (code !== 0) throw new Error(`BuildKit at ${settings.address} does not answer: ${output.trim().slice(-300)}`);
      const platforms = platformsIn(jsonIn(stdout));
      if (platforms.length > 0) return nativeOf(platforms);
      throw new Error(`expected BuildKit at ${settings.address} to say what it builds for, found ${stdout.trim().slice(0, 200)}`);
    },

    async build(work) {
      const { settings, layout, timeoutMs, signal } = work;
      const output = `type=oci,tar=false,dest=${layout}`;
      const command = [...client(settings), 'build', '--progress', 'plain', ...wordsOf(work), '--output', output];
      await runBuild({ command, env, signal, timeoutMs });
    },
  };
}

/** Of the first worker, which is the one that builds: `[{"platforms":[{"os":"linux","architecture":"amd64"}]}]`. */
function platformsIn(workers: unknown): string[] {
  const [first]: unknown[] = Array.isArray(workers) ? workers : [];
  const listed = memberOf(first, 'platforms');
  if (!Array.isArray(listed)) return [];
  return listed.map((each) =>
    ['os', 'architecture', 'variant']
      .map((name) => memberOf(each, name))
      .filter((part) => typeof part === 'string' && part !== '')
      .join('/'),
  );
}

function wordsOf({ project, root, platform, secretFiles, epochSeconds }: BuildWork<BuildkitSettings>): string[] {
  const { context, dockerfile, target, arguments: args, labels } = project;
  const options = {
    filename: basename(dockerfile),
    platform,
    'attest:provenance': 'mode=max',
    'build-arg:SOURCE_DATE_EPOCH': String(epochSeconds),
    ...(target !== undefined && { target }),
    ...Object.fromEntries(Object.entries(args).map(([name, value]) => [`build-arg:${name}`, value])),
    ...Object.fromEntries(Object.entries(labels).map(([name, value]) => [`label:${name}`, value])),
  };
  return [
    ...['--frontend', 'dockerfile.v0'],
    ...['--local', `context=${join(root, context)}`, '--local', `dockerfile=${join(root, dirname(dockerfile))}`],
    ...Object.entries(options).flatMap(([name, value]) => ['--opt', `${name}=${value}`]),
    ...Object.entries(secretFiles).flatMap(([id, file]) => ['--secret', `id=${id},src=${file}`]),
  ];
}
