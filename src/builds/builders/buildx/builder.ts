import { join } from 'node:path';
import { Refusal } from '../../../domain/failures.ts';
import { findTool } from '../../../platform/tools.mjs';
import type { Builder, BuilderContext, BuildWork } from '../../builder.ts';
import { nativeOf } from '../platforms.ts';
import { askBuilder, runBuild } from '../run.ts';

interface BuildxSettings {
  readonly name?: string;
}

/** What `buildx inspect` prints, a line each: `Driver: docker`. A builder of several nodes has most of them once for each. */
function valuesIn(text: string, key: string): string[] {
  return [...text.matchAll(new RegExp(`^[ \\t]*${key}:[ \\t]*(.*)$`, 'gm'))].map(([, value = '']) => value.trim());
}

export function createBuildx({ env }: BuilderContext): Builder<BuildxSettings> {
  const program = (): string => {
    const found = findTool('docker-buildx', env);
    if (found !== undefined) return found;
    throw new Error(
      "expected Docker's buildx on this host, found none: install the package docker-buildx-plugin, or name the program in DOCKER_BUILDX",
    );
  };
  const builderOf = ({ name }: BuildxSettings) => (name === undefined ? [] : ['--builder', name]);

  return {
    async native(settings, signal) {
      const command = [program(), 'inspect', '--bootstrap', ...builderOf(settings)];
      const { code, stdout, output } = await askBuilder({ command, env, signal });
      const said = output.trim().slice(-300);
      if (code !== 0 && /no builder .* found/.test(output))
        throw new Refusal('BuildRefused', `expected the builder ${settings.name} on this host (docker buildx ls): ${said}`);
      if (code !== 0) throw new Error(`buildx does not say what it builds for: ${said}`);
      refuseOldStore(stdout);
      const [platforms = ''] = valuesIn(stdout, 'Platforms');
      return nativeOf(platforms.split(',').map((each) => each.trim().replace(/\*$/, '')));
    },

    async build(work) {
      const { settings, layout, timeoutMs, signal } = work;
      const output = `type=oci,tar=false,dest=${layout}`;
      const what = ['build', ...builderOf(settings), '--progress', 'plain', '--provenance', 'mode=max', '--sbom', 'false'];
      const command = [program(), ...what, ...wordsOf(work), '--output', output, join(work.root, work.project.context)];
      // The files come without their .git: what buildx finds in a folder above is another repository, which it would name in the provenance.
      await runBuild({ command, env, signal, timeoutMs, variables: { BUILDX_GIT_INFO: 'false' } });
    },
  };
}

/** Images of Docker's own store, which lasted until Docker 28, are no OCI images: it cannot write one. */
function refuseOldStore(inspected: string): void {
  const [driver] = valuesIn(inspected, 'Driver');
  const hasStore = valuesIn(inspected, 'Labels')
    .concat(inspected)
    .join('\n')
    .includes('org.mobyproject.buildkit.worker.containerd');
  if (driver !== 'docker' || hasStore) return;
  throw new Refusal(
    'BuildRefused',
    "expected an engine that keeps images in containerd's store (Docker 29 does; features: { containerd-snapshotter: true } in " +
      'daemon.json before), or a builder of its own (docker buildx create --name NAME, and builder: { buildx: { name: NAME } })',
  );
}

function wordsOf({ project, root, platform, secretFiles, epochSeconds }: BuildWork<BuildxSettings>): string[] {
  const { dockerfile, target, arguments: args, labels } = project;
  return [
    ...['--platform', platform, '--file', join(root, dockerfile)],
    ...(target === undefined ? [] : ['--target', target]),
    ...Object.entries({ SOURCE_DATE_EPOCH: String(epochSeconds), ...args }).flatMap(([name, value]) => [
      '--build-arg',
      `${name}=${value}`,
    ]),
    ...Object.entries(labels).flatMap(([name, value]) => ['--label', `${name}=${value}`]),
    ...Object.entries(secretFiles).flatMap(([id, file]) => ['--secret', `id=${id},src=${file}`]),
  ];
}
