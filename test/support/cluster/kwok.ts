import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildKwok } from '../../../scripts/setup/kwok.mjs';
import type { Digest } from '../../../src/domain/image-reference.ts';
import type { ClusterAccess } from '../cluster.ts';

/** Nodes that are only played, and whose pods are ready at once: kwok writes their states, all else is real. */
export interface PlayedNodes {
  /** What a pod that is made from now on runs: its node has pulled the tag. */
  pull(digest: Digest): Promise<void>;
  stop(): Promise<void>;
}

/** Else the node would be taken for lost, and its pods for not ready. */
const alive = ['--node-lease-duration-seconds', '40'];

/** What puts a pod there. */
export const playedNode = { nodeSelector: { type: 'played' } } as const;

export async function startPlayedNodes(cluster: ClusterAccess, folder: string): Promise<PlayedNodes> {
  const kwok = await buildKwok({ env: process.env, say: console.error });
  const allocatable = { cpu: '1000', memory: '1Ti', pods: '10000' };
  const node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'played', labels: { type: 'played' } },
    status: { allocatable, capacity: allocatable },
  };
  await cluster.apply('default', node);
  let stop = async (): Promise<void> => {};
  return {
    async pull(digest) {
      await stop();
      const config = join(folder, 'kwok.yaml');
      await writeFile(
        config,
        stages(digest)
          .map((stage) => JSON.stringify(stage))
          .join('\n---\n'),
      );
      const words = ['--kubeconfig', cluster.kubeconfig, '--config', config, '--manage-nodes-with-label-selector', 'type=played'];
      const child = spawn(kwok, [...words, ...alive], { stdio: 'ignore' });
      const exited = once(child, 'exit');
      const killAtExit = () => void child.kill('SIGKILL');
      process.once('exit', killAtExit);
      stop = async () => {
        process.off('exit', killAtExit);
        child.kill('SIGTERM');
        await exited;
      };
    },
    stop: () => stop(),
  };
}

const has = (key: string, operator: string, values?: readonly string[]) => ({ key, operator, ...(values && { values }) });

/** As kwok's own `node-initialize`, `pod-ready` and `pod-delete`, but that containers say by which digest they run. */
function stages(digest: Digest): object[] {
  const stage = (kind: string, name: string, matchExpressions: readonly object[], next: object) => ({
    apiVersion: 'kwok.x-k8s.io/v1alpha1',
    kind: 'Stage',
    metadata: { name },
    spec: { resourceRef: { apiGroup: 'v1', kind }, selector: { matchExpressions }, next },
  });
  const isNotReady = has('.status.conditions.[] | select( .type == "Ready" ) | .status', 'NotIn', ['True']);
  const isNew = [has(deleted, 'DoesNotExist'), has('.status.phase', 'In', ['Pending'])];
  return [
    stage('Node', 'node-initialize', [isNotReady], { statusTemplate: readyNode }),
    stage('Pod', 'pod-ready', isNew, { statusTemplate: readyPod(digest) }),
    stage('Pod', 'pod-delete', [has(deleted, 'Exists')], { delete: true }),
  ];
}

const deleted = '.metadata.deletionTimestamp';

const readyNode = `
{{ $now := Now }}
conditions:
- { type: Ready, status: "True", reason: Played, lastHeartbeatTime: {{ $now | Quote }}, lastTransitionTime: {{ $now | Quote }} }
`;

const readyPod = (digest: Digest) => `
{{ $now := Now }}
conditions:
{{ range list "Initialized" "ContainersReady" "Ready" }}
- { type: {{ . }}, status: "True", lastTransitionTime: {{ $now | Quote }} }
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: "played@${digest}"
  ready: true
  restartCount: 0
  state: { running: { startedAt: {{ $now | Quote }} } }
{{ end }}
phase: Running
startTime: {{ $now | Quote }}
`;
