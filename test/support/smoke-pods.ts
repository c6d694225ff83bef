import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { ApplicationFailure } from '@temporalio/activity';
import { parseAllDocuments } from 'yaml';
import type { Evidence } from '../../src/domain/evidence.ts';
import type { CheckOutcome } from '../../src/domain/outcomes.ts';
import { createKubernetesClients } from '../../src/platform/kubernetes/client.ts';
import { type Pod, pods, secrets } from '../../src/platform/kubernetes/objects.ts';
import type { ClusterAccess } from './cluster.ts';
import { eventually } from './wait.ts';

/** Smoke tests in a cluster: by an account that has the rights of deploy/kubernetes/smoke.yaml, and no others. */
export interface SmokeCluster {
  /** Of that account. */
  readonly kubeconfig: string;
  /** A new one, as that file has it. */
  namespace(): Promise<string>;
  podsIn(namespace: string): Promise<Pod[]>;
  runningPod(namespace: string): Promise<Pod>;
  /** No pod, and no Secret but these. */
  nothingIsLeft(namespace: string, ...but: readonly string[]): Promise<void>;
}

export async function smokeCluster(cluster: ClusterAccess): Promise<SmokeCluster> {
  const asAdmin = await createKubernetesClients({ KUBECONFIG: cluster.kubeconfig })(undefined);
  const signal = new AbortController().signal;
  const podsIn = (namespace: string) => asAdmin.list<Pod>({ resource: pods, namespace }, {}, signal);
  return {
    kubeconfig: await accountOfLandfall(cluster),
    podsIn,
    async namespace() {
      const namespace = await cluster.namespace();
      const manifests = (await readFile('deploy/kubernetes/smoke.yaml', 'utf8')).replaceAll('landfall-smoke', namespace);
      await cluster.apply(namespace, ...parseAllDocuments(manifests).map((each) => each.toJS()));
      return namespace;
    },
    runningPod: (namespace) =>
      eventually('a pod that runs', async () =>
        (await podsIn(namespace)).find(({ status }) => status?.containerStatuses?.[0]?.state?.running),
      ),
    async nothingIsLeft(namespace, ...but) {
      await eventually('no pod', async () => (await podsIn(namespace)).length === 0);
      await eventually('no Secret', async () => {
        const left = await asAdmin.list({ resource: secrets, namespace }, {}, signal);
        return left.every(({ metadata }) => but.includes(metadata.name));
      });
    },
  };
}

/** @returns the path of its kubeconfig */
async function accountOfLandfall({ kubectl, kubeconfig }: ClusterAccess): Promise<string> {
  await kubectl('create', 'namespace', 'landfall');
  await kubectl('create', 'serviceaccount', 'landfall', '-n', 'landfall');
  const token = (await kubectl('create', 'token', 'landfall', '-n', 'landfall')).trim();
  const config = JSON.parse(await kubectl('config', 'view', '--raw', '-o', 'json'));
  config.users = config.users.map(({ name }: { readonly name: string }) => ({ name, user: { token } }));
  const path = `${kubeconfig}.landfall`;
  await writeFile(path, JSON.stringify(config));
  return path;
}

/** How a smoke test ended. `type` is that of a refusal, `Error` where it is tried again, else `passed`. */
export async function endOf(
  attempt: Promise<CheckOutcome>,
): Promise<{ readonly type: string; readonly text: string; readonly log?: string | undefined }> {
  try {
    const outcome = await attempt;
    if (outcome.kind !== 'checked') assert.fail(outcome.kind);
    return { type: 'passed', text: outcome.text, log: outcome.evidence[0]?.log };
  } catch (error) {
    assert.ok(error instanceof Error, String(error));
    if (!(error instanceof ApplicationFailure)) return { type: error.name, text: error.message };
    const [evidence = []] = (error.details ?? []) as [(readonly Evidence[])?];
    return { type: error.type ?? '', text: error.message, log: evidence[0]?.log };
  }
}
