import { z } from 'zod';
import { type WorkloadName, workloadKinds } from '../../platform/kubernetes/workloads.ts';
import { duration, parsed, text } from '../../settings/scalars.ts';
import { map, optional } from '../../settings/wording.ts';
import { defineDeploy } from '../deploy.ts';
import { canaryParts, type KubernetesDeployPlan } from './targets.ts';

const filledIn = '{service} and {stage} are filled in';
const namePattern = /^(?:[a-z0-9]|\{service\}|\{stage\})(?:[a-z0-9.-]|\{service\}|\{stage\})*$/;

const workload = parsed(
  `a workload as ${workloadKinds.map((kind) => kind.toLowerCase()).join(', ')}/NAME`,
  /^[A-Za-z]+\/\S+$/,
  (written): WorkloadName | undefined => {
    const [kindName = '', name = ''] = written.split('/');
    const kind = workloadKinds.find((each) => each.toLowerCase() === kindName.toLowerCase());
    return kind !== undefined && namePattern.test(name) ? { kind, name } : undefined;
  },
);

const schema = map(
  {
    context: optional(text('a context of the kubeconfig'), 'Default: the current one, or in a pod its service account.'),
    namespace: optional(
      text('a namespace, or * for all', /^(?:\*|(?:[a-z0-9]|\{service\}|\{stage\})(?:[a-z0-9-]|\{service\}|\{stage\})*)$/),
      `Default: that of the context, else default. *: all of them, for label and image. ${filledIn}.`,
    ),
    workloads: optional(z.array(workload).min(1), `Which ones, such as [deployment/web, cronjob/report]; ${filledIn}.`),
    label: optional(
      text('a selector of labels such as app=web'),
      `All Deployments, StatefulSets, DaemonSets and CronJobs with these labels of their own; ${filledIn}.`,
    ),
    image: optional(
      z.enum(['repository', 'tag']),
      "All that use the image's repository, or this very tag of it, in one of their containers.",
    ),
    container: optional(
      text('the name of a container', namePattern),
      `Which container of them. Default: those that use the image's repository; ${filledIn}.`,
    ),
    pin: optional(
      z.enum(['tag@digest', 'tag', 'digest']),
      'What is written. With tag, one that is the same as before is restarted. Default: tag@digest; with image: tag, tag.',
    ),
    takeFrom: optional(
      z.array(text('the name of a field manager')),
      'Field managers whose image is taken over, such as kubectl-client-side-apply. Default: nobody.',
    ),
    restarts: optional(z.int().min(0), 'How many restarts of a container are borne while it comes up. Default: 1.'),
    canary: optional(z.literal(1), 'One pod with the new image first, which is watched before the rest. For Deployments.'),
    timeout: optional(duration, 'Longest time until all pods run it and are ready. Default: 5m.'),
  },
  'Workloads of a Kubernetes cluster, whose pods prove which image they run.',
);

/** Sets the image of workloads of a cluster by server-side apply, and waits until all of their pods run it. */
export const kubernetesDeploy = defineDeploy({
  kind: 'kubernetes',
  foresees: true,
  schema,
  alternatives: { '': [['workloads', 'label', 'image']] },
  resolve(input, _stage, complain) {
    const { context, namespace, workloads, label, image, container, takeFrom = [], restarts = 1, canary } = input;
    const { pin = image === 'tag' ? 'tag' : 'tag@digest', timeout: timeoutMs = 5 * 60_000 } = input;
    const named = Object.entries({ workloads, label, image }).flatMap(([key, value]) => (value === undefined ? [] : [key]));
    if (named.length !== 1) complain([], `expected one of workloads, label and image, found ${named.join(' and ') || 'none'}`);
    if (namespace === '*' && workloads !== undefined)
      complain(['namespace'], 'expected one namespace beside workloads: * is for label and image');
    if (canary !== undefined && workloads?.some(({ kind }) => kind !== 'Deployment'))
      complain(['canary'], 'expected Deployments alone beside canary: the others replace their pods one by one');
    const settings: KubernetesDeployPlan = {
      ...(context !== undefined && { context }),
      ...(namespace !== undefined && { namespace }),
      workloads: image !== undefined ? { image } : label !== undefined ? { label } : { names: workloads ?? [] },
      ...(container !== undefined && { container }),
      pin,
      takeFrom,
      restarts,
      ...(canary !== undefined && { canary: true }),
      timeoutMs,
    };
    return { settings, timeoutMs: 2 * timeoutMs, ...(canary !== undefined && { parts: Object.values(canaryParts) }) };
  },
  fill: ({ workloads, ...deploy }, fill) => ({
    ...deploy,
    ...(deploy.namespace !== undefined && { namespace: fill(deploy.namespace) }),
    ...(deploy.container !== undefined && { container: fill(deploy.container) }),
    workloads:
      'names' in workloads
        ? { names: workloads.names.map(({ kind, name }) => ({ kind, name: fill(name) })) }
        : 'label' in workloads
          ? { label: fill(workloads.label) }
          : workloads,
  }),
  podsOf: ({ context, namespace }) => ({
    ...(context !== undefined && { context }),
    ...(namespace !== undefined && namespace !== '*' && { namespace }),
  }),
  async create(context) {
    const { createKubernetesDeployer } = await import('./deployer.ts');
    return createKubernetesDeployer(context);
  },
});
