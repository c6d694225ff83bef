import { createHash } from 'node:crypto';
import type { VerifiedImage } from '../../../domain/outcomes.ts';
import type { Plan } from '../../../domain/plan.ts';
import { noNameServer } from '../../../platform/docker/closed-network.ts';
import { nameOf, type Ownership, plainLabels, type SmokeRun } from '../../../platform/docker/labels.ts';
import { usualLimits } from '../../../platform/docker/limits.ts';
import type { ReadyProbe } from '../../../platform/docker/readiness.ts';
import { meantPlatforms } from '../../../platform/registry/platform.ts';
import { pullMs, referenceOf } from '../../check.ts';
import type { PodSettings, SmokePlan } from '../plan.ts';

/** Of a smoke test that runs in a cluster. */
export type PodPlan = SmokePlan & { readonly kubernetes: PodSettings };

export const candidate = 'candidate';
/** Of pods that are to reach nothing, and nothing is to reach. */
export const closedLabel = { 'landfall.dev/network': 'closed' } as const;
const checkLabel = 'landfall.dev/check';
const installationLabel = 'landfall.dev/installation';

/** The pods of all smoke tests of an installation. */
export function selectorOf(installation: string): string {
  return `${checkLabel}=smoke,${installationLabel}=${installation}`;
}

/** No other attempt has it. Names of Kubernetes are short, so what does not fit is a hash. */
export function podNameOf(run: SmokeRun, service: string): string {
  const readable = service
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 30);
  return `smoke-${readable}-${createHash('sha256').update(nameOf(run)).digest('hex').slice(0, 16)}`;
}

export interface PodRequest {
  readonly name: string;
  /** Kept as annotations: ids of rollouts are longer than labels may be. */
  readonly owner: Ownership;
  readonly installation: string;
  readonly plan: Pick<Plan, 'platforms'>;
  readonly image: VerifiedImage;
  readonly smoke: PodPlan;
  /** Whether there is a Secret of its name with its environment. */
  readonly hasEnvironment: boolean;
}

/** A pod that can do no more than the plan allows, fit for the Pod Security Standard `restricted` unless the plan says otherwise. */
export function podOf(request: PodRequest): object {
  const { name, owner, installation, plan, image, smoke } = request;
  const { namespace, imagePullSecrets = [] } = smoke.kubernetes;
  const isClosed = smoke.network !== 'full';
  return {
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      labels: {
        'app.kubernetes.io/managed-by': 'landfall',
        [checkLabel]: 'smoke',
        [installationLabel]: installation,
        ...(isClosed && closedLabel),
      },
      annotations: plainLabels(owner),
    },
    spec: {
      restartPolicy: 'Never',
      // Also where nobody is left to remove it.
      activeDeadlineSeconds: Math.ceil((pullMs + smoke.timeoutMs) / 1_000),
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      // A question that no answer can come to would be waited for.
      ...(isClosed && { dnsPolicy: 'None', dnsConfig: nowhere }),
      ...(smoke.runtime !== undefined && { runtimeClassName: smoke.runtime }),
      imagePullSecrets: imagePullSecrets.map((secret) => ({ name: secret })),
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      affinity: onNodesFor(plan, image),
      securityContext: { seccompProfile: { type: 'RuntimeDefault' }, ...userOf(smoke.kubernetes) },
      containers: [containerOf(request)],
      ...(smoke.readOnly && { volumes: writable.map(([volume]) => ({ name: volume, emptyDir: inMemory(smoke) })) }),
    },
  };
}

const nowhere = {
  nameservers: noNameServer.addresses,
  options: noNameServer.options.map((option) => {
    const [name, value] = option.split(':');
    return { name, value };
  }),
};

function userOf({ user }: PodSettings): object {
  if (user === 'image') return {};
  return { runAsNonRoot: true, ...(user !== undefined && { runAsUser: user }) };
}

/** Only what was scanned may run, and a cluster may have nodes of several architectures. */
function onNodesFor(plan: PodRequest['plan'], image: VerifiedImage): object | undefined {
  const architectures = meantPlatforms(plan.platforms, image.platforms).map(({ platform }) => platform.split('/')[1]);
  if (architectures.length === 0) return undefined;
  const values = [...new Set(architectures)];
  const nodeSelectorTerms = [{ matchExpressions: [{ key: 'kubernetes.io/arch', operator: 'In', values }] }];
  return { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } };
}

function containerOf({ name: environment, smoke, image, hasEnvironment }: PodRequest): object {
  const limits = {
    memory: String(smoke.memoryBytes),
    cpu: milli(smoke.cpus),
    'ephemeral-storage': String(smoke.diskBytes ?? usualLimits.diskBytes),
  };
  return {
    name: candidate,
    image: referenceOf(image),
    imagePullPolicy: 'IfNotPresent',
    ...(smoke.command !== undefined && { args: smoke.command.map(literal) }),
    ...(hasEnvironment && { envFrom: [{ secretRef: { name: environment } }] }),
    // Memory that its node has for certain, so that it is out of memory by its own doing only. Of the rest it gets what is left.
    resources: { limits, requests: { memory: limits.memory, cpu: milli(Math.min(0.05, smoke.cpus)), 'ephemeral-storage': '0' } },
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'], ...(smoke.capabilities.length > 0 && { add: smoke.capabilities }) },
      ...(smoke.readOnly && { readOnlyRootFilesystem: true }),
    },
    ...(smoke.probe !== undefined && { readinessProbe: askedByKubelet(smoke.probe) }),
    ...(smoke.readOnly && { volumeMounts: writable.map(([name, mountPath]) => ({ name, mountPath })) }),
  };
}

function milli(cpus: number): string {
  return `${Math.ceil(cpus * 1_000)}m`;
}

/** Kubernetes would put variables in place of `$(NAME)`. */
function literal(word: string): string {
  return word.replaceAll('$(', '$$$$(');
}

/** What is written to in most images. */
const writable = [
  ['tmp', '/tmp'],
  ['run', '/run'],
  ['var-tmp', '/var/tmp'],
] as const;

function inMemory({ diskBytes = usualLimits.diskBytes }: PodPlan): object {
  return { medium: 'Memory', sizeLimit: String(diskBytes) };
}

/** The node's own kubelet asks: a network policy lets it through, and whoever starts the pod needs no right to reach into it. */
function askedByKubelet(probe: ReadyProbe): object {
  const rhythm = { periodSeconds: 1, timeoutSeconds: 5 };
  if (probe.kind === 'exec') return { exec: { command: probe.command }, ...rhythm };
  if (probe.kind === 'tcp') return { tcpSocket: { port: probe.port }, ...rhythm };
  return { httpGet: { port: probe.port, path: probe.path }, ...rhythm };
}
