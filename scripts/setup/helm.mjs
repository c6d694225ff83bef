/**
 * Helm, in the version that helm/go.mod pins: it renders deploy/kubernetes/chart. Built once into the cache folder, by whoever asks for it first.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildPrograms, programsFolder } from './go-programs.mjs';
import { kubernetesVersion } from './kubernetes.mjs';

const helmVersion = '3.22.0';

const [major = '', minor = ''] = kubernetesVersion.split('.');

/** @type {import('./go-programs.mjs').GoPrograms} */
const helm = Object.freeze({
  name: `helm-${helmVersion}`,
  module: fileURLToPath(new URL('helm', import.meta.url)),
  programs: [
    {
      name: 'helm',
      from: 'helm.sh/helm/v3/cmd/helm',
      // Which Kubernetes it takes a chart to be for, where it asks none.
      version: [
        `helm.sh/helm/v3/internal/version.version=v${helmVersion}`,
        `helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=${major}`,
        `helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=${minor}`,
        `helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=${major}`,
        `helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=${minor}`,
      ],
    },
  ],
});

/**
 * @param {{ env: Record<string, string | undefined>, say: (line: string) => void }} context
 * @returns {Promise<string>} its path
 * @throws Error where it cannot be built, with what to do about it
 */
export async function helmProgram(context) {
  await buildPrograms(helm, { ...context, who: 'Helm' });
  return join(programsFolder(helm, context.env), 'helm');
}
