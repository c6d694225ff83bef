import assert from 'node:assert/strict';
import Docker from 'dockerode';
import type { VerifiedImage } from '../../src/domain/outcomes.ts';
import type { ControllerProbePlan } from '../../src/domain/plan.ts';
import { createKubernetesClients, type KubernetesClients } from '../../src/platform/kubernetes/client.ts';
import { createProbes, type ProbeResult } from '../../src/probes/index.ts';
import { type Cluster, sharedCluster } from '../support/cluster.ts';
import { argoStatus, type ControllerStage, controllersIn, fluxStatus, installControllers } from '../support/controllers.ts';
import { type KubernetesWorld, kubernetesWorld, type WorkloadOptions, workload } from '../support/kubernetes-deploy.ts';
import { noClusters } from '../support/no-clusters.ts';
import { digestOf } from '../support/plans.ts';
import { eventually } from '../support/wait.ts';
import { watchPlan } from '../support/watch.ts';

const [old, ours, later] = ['b'.repeat(40), 'c'.repeat(40), 'd'.repeat(40)] as const;
const foreign = 'f'.repeat(40);

/** As a forge would say it. */
const isOurs = async (found: string) => (found === foreign ? undefined : found !== old);

// Namespaces need Linux, and root.
if (process.platform === 'linux' && process.getuid?.() === 0) {
  describe('the probe of GitOps controllers', function () {
    this.timeout(120_000);
    let cluster: Pick<Cluster, 'kubectl' | 'apply' | 'namespace' | 'registry' | 'kubeconfig'>;
    let clusters: KubernetesClients;
    let world: KubernetesWorld;
    let one: VerifiedImage;
    let two: VerifiedImage;

    before(async () => {
      cluster = await sharedCluster();
      clusters = createKubernetesClients({ KUBECONFIG: cluster.kubeconfig });
      world = kubernetesWorld(cluster);
      one = await world.push('1.0');
      two = await world.push('2.0');
      await installControllers(cluster);
    });

    interface Stage extends ControllerStage {
      readonly namespace: string;
      /** What the controller would apply. */
      run(image: VerifiedImage, options?: WorkloadOptions): Promise<void>;
      ready(): Promise<string>;
      ask(options?: AskOptions): Promise<Pick<ProbeResult, 'kind' | 'proof'> & { readonly text: string }>;
    }

    interface AskOptions {
      readonly of?: VerifiedImage;
      /** Nobody knows which commit it is. */
      readonly unknown?: true;
      readonly podsContext?: string;
      readonly clusters?: KubernetesClients;
    }

    async function stage(object: ControllerProbePlan['object']): Promise<Stage> {
      const namespace = await cluster.namespace();
      const kind = object === 'Application' ? 'argocd' : 'flux';
      const usual: ControllerProbePlan = { kind, object, name: 'web', namespace, restarts: 1 };
      const docker = new Docker({ socketPath: '/nowhere' });
      const others = { docker, deploys: [], baseDir: '/', secrets: (value: string) => value, env: {} };
      const run = (image: VerifiedImage, options?: WorkloadOptions) =>
        cluster.apply(namespace, workload(`${image.repository}:${image.tag}@${image.digest}`, options));
      return {
        ...controllersIn(cluster, namespace),
        namespace,
        run,
        ready: () => cluster.kubectl('rollout', 'status', 'deployment/web', '-n', namespace, '--timeout=4m'),
        async ask({ of = two, unknown, clusters: asked = clusters, ...rest } = {}) {
          const probe = { ...usual, ...rest };
          const expected = { digest: of.digest, digests: [of.digest], repository: of.repository };
          const { signal } = new AbortController();
          const request = { watch: watchPlan([probe]), running: [], expected, signal, ...(!unknown && { isOurs }) };
          const { kind, proof, reading } = await createProbes({ ...others, clusters: asked }).probe(request);
          return { kind, proof, text: reading.text };
        },
      };
    }

    /** Kind and text of an answer that matches in the end. */
    const until = (what: string, { ask }: Stage, kind: string, text: RegExp, options?: AskOptions) =>
      eventually(what, async () => {
        const answer = await ask(options);
        return answer.kind === kind && text.test(answer.text) && answer;
      });

    it('is decided by Argo CD once it has our commit, and by the digest of the pods that it brought', async () => {
      const web = await stage('Application');
      const { namespace, say, run, ask, ready } = web;
      const argo = (commit: string, sync: string, health: string, more?: object) =>
        say('applications', argoStatus(commit, namespace, sync, health, more));
      await assert.rejects(
        ask(),
        /^DeployRefused: expected an Application web in the namespace .*: correct watch.argocd, or create it$/,
      );
      await web.create('applications');
      await run(one);
      await argo(old, 'Synced', 'Degraded');
      assert.deepEqual(await ask(), {
        kind: 'none',
        proof: 'none',
        text: `argocd Application ${namespace}/web is at ${old.slice(0, 12)} still`,
      });
      await argo(ours, 'OutOfSync', 'Healthy');
      assert.equal((await ask()).kind, 'none');
      const message = 'one or more objects failed to apply: admission webhook denied the request';
      await argo(ours, 'OutOfSync', 'Healthy', { operationState: { phase: 'Failed', message, syncResult: { revision: ours } } });
      assert.deepEqual([(await ask()).kind, (await ask()).text.split(' could ')[1]], ['bad', `not be synced: ${message}`]);
      await argo(ours, 'Synced', 'Degraded', { conditions: [{ type: 'SyncError', message: 'it says why' }] });
      assert.match((await ask()).text, /web is Synced and Degraded: SyncError it says why/);
      assert.equal((await ask()).kind, 'bad');

      // What it brought is another image.
      await argo(ours, 'Synced', 'Healthy');
      await ready();
      assert.match((await ask()).text, new RegExp(`runs ${one.digest.slice(0, 19)}, expected ${two.digest.slice(0, 19)}`));
      assert.equal((await ask()).kind, 'bad');
      await run(two, { spec: { paused: true } });
      assert.match((await ask()).text, /deployment\/web: 0 of 2 pods are of the new image/);
      await run(two);
      assert.equal((await ask()).kind, 'none');
      const answer = await until('its pods', web, 'good', /is Synced and Healthy.* runs sha256:/);
      assert.equal(answer.proof, 'container');
      await argo(later, 'Synced', 'Healthy');
      assert.equal((await ask()).kind, 'good');
      assert.equal((await ask({ clusters: noClusters })).kind, 'away');
      await assert.rejects(ask({ podsContext: 'elsewhere' }), /elsewhere/);

      // A commit that nobody can place is decided by the pods alone.
      await say('applications', { sync: { status: 'Synced', revision: null, revisions: ['1.2.3', foreign] } });
      assert.equal((await ask()).kind, 'good');
      assert.equal((await ask({ unknown: true })).kind, 'good');
      assert.equal((await ask({ of: one })).kind, 'none');
      assert.equal((await ask({ of: one, unknown: true })).kind, 'none');
      await argo(ours, 'Synced', 'Healthy', { resources: [] });
      await assert.rejects(
        ask(),
        /^DeployRefused: expected that argocd Application \S+ has a Deployment, .* is made from .*podsContext/,
      );
    });

    it('is decided by Flux once it has attempted our commit, and by pods that will not come up before Flux gives up', async () => {
      const web = await stage('Kustomization');
      const { namespace, say, run, ask, ready } = web;
      const flux = (commit: string, ...condition: [string, string, string]) =>
        say('kustomizations', fluxStatus(commit, namespace, condition));
      await web.create('kustomizations');
      await run(one);
      assert.match((await ask({ unknown: true })).text, /was not looked at by Flux yet/);
      await flux(old, 'False', 'BuildFailed', 'kustomize build failed');
      assert.equal((await ask()).kind, 'none');
      await flux(ours, 'False', 'DependencyNotReady', "dependency 'flux-system/database' is not ready");
      assert.equal((await ask()).kind, 'none');
      await flux(ours, 'False', 'BuildFailed', 'kustomize build failed');
      assert.deepEqual(
        [(await ask()).kind, (await ask()).text],
        ['bad', `flux Kustomization ${namespace}/web says BuildFailed: kustomize build failed`],
      );

      await flux(ours, 'Unknown', 'Progressing', 'Reconciliation in progress');
      await ready();
      assert.equal((await ask()).kind, 'none');
      await run(two);
      await ready();
      await flux(ours, 'True', 'ReconciliationSucceeded', `Applied revision: main@sha1:${ours}`);
      assert.equal((await until('its pods', web, 'good', /ReconciliationSucceeded.* runs/)).proof, 'container');

      await flux(later, 'Unknown', 'Progressing', 'Reconciliation in progress');
      const absent = { ...two, digest: digestOf('absent') };
      await run(absent);
      const answer = await until('the pull to fail', web, 'bad', /cannot start \(ErrImagePull\)/, { of: absent });
      assert.match(answer.text, /^container web of pod web-\S+ cannot start/);
    });

    it('is decided by a HelmRelease and the Kustomization that has brought it', async () => {
      const web = await stage('HelmRelease');
      const { namespace, say, run, ask, ready } = web;
      const origin = { 'helm.toolkit.fluxcd.io/name': 'web', 'helm.toolkit.fluxcd.io/namespace': namespace };
      const kustomization = { 'kustomize.toolkit.fluxcd.io/name': 'web', 'kustomize.toolkit.fluxcd.io/namespace': namespace };
      const source = (commit: string, ...condition: [string, string, string]) =>
        say('kustomizations', fluxStatus(commit, namespace, condition));
      const release = (status: string, reason: string, message: string, observedGeneration = 1) =>
        say('helmreleases', { conditions: [{ type: 'Ready', status, reason, message, observedGeneration }] });
      await web.create('kustomizations');
      await web.create('helmreleases', { labels: kustomization }, { values: { image: 1 } });
      await run(two, { metadata: { labels: { app: 'web', ...origin } } });
      await release('True', 'UpgradeSucceeded', 'Helm upgrade succeeded for release web.v2');
      await source(old, 'True', 'ReconciliationSucceeded', 'Applied');
      assert.match((await ask()).text, /is at b{12} still/);
      await source(ours, 'Unknown', 'Progressing', 'Reconciliation in progress');
      assert.match((await ask()).text, /waits for its Kustomization, which says Progressing/);
      // Something else of the Kustomization is unwell.
      await source(ours, 'False', 'HealthCheckFailed', 'timeout waiting for: Deployment/other');
      await ready();
      await until('its pods', web, 'good', /UpgradeSucceeded.* runs/);
      await web.create('helmreleases', { labels: kustomization }, { values: { image: 2 } });
      assert.match((await ask()).text, /was not looked at by Flux yet/);
      const why = 'Helm upgrade failed for release web with chart web@1.2.3: context deadline exceeded';
      await release('False', 'UpgradeFailed', why, 2);
      assert.deepEqual(
        [(await ask()).kind, (await ask()).text],
        ['bad', `flux HelmRelease ${namespace}/web says UpgradeFailed: ${why}`],
      );
    });
  });
}
