import { z } from 'zod';
import type { ControllerProbePlan } from '../domain/plan.ts';
import { type Complain, within } from '../settings/problem.ts';
import { text } from '../settings/scalars.ts';
import { map, optional } from '../settings/wording.ts';

/** GitOps controllers of a cluster, which a stage may have say that it is healthy. */

const objectName = text('the name of an object', /^(?:[a-z0-9.-]|\{service\}|\{stage\})+$/);

const place = (usual: string) => ({
  namespace: optional(objectName, `Where it is; {service} and {stage} are filled in. Default: ${usual}.`),
  context: optional(
    text('a context of the kubeconfig'),
    'The cluster that it is in. Default: the current one, or in a pod that of its service account.',
  ),
  podsContext: optional(text('a context of the kubeconfig'), 'The cluster that its pods are in. Default: the same.'),
  restarts: optional(z.int().min(0), 'How many restarts of a container are borne. Default: 1.'),
});

const filledIn = '{service} and {stage} are filled in';

export const argocd = map(
  { application: optional(objectName, `The name of the Application; ${filledIn}.`), ...place('argocd') },
  'An Application of Argo CD: synced to our commit or a later one, and healthy, with pods that run the digest.',
);

export const flux = map(
  {
    kustomization: optional(objectName, `The name of the Kustomization; ${filledIn}.`),
    helmRelease: optional(objectName, `The name of the HelmRelease; ${filledIn}.`),
    ...place('flux-system'),
  },
  'A Kustomization or HelmRelease of Flux: ready at our commit or a later one, with pods that run the digest.',
);

interface ControllersInput {
  readonly argocd?: z.output<typeof argocd>;
  readonly flux?: z.output<typeof flux>;
}

export function controllerProbes({ argocd, flux }: ControllersInput, complain: Complain): ControllerProbePlan[] {
  return [
    ...(argocd ? [ofArgo(argocd, within(complain, 'argocd'))] : []),
    ...(flux ? [ofFlux(flux, within(complain, 'flux'))] : []),
  ];
}

function ofArgo({ application: name = '', ...rest }: z.output<typeof argocd>, complain: Complain): ControllerProbePlan {
  if (name === '') complain(['application'], 'expected the name of an Application, found nothing');
  return { kind: 'argocd', object: 'Application', name, namespace: 'argocd', restarts: 1, ...rest };
}

function ofFlux({ kustomization, helmRelease, ...rest }: z.output<typeof flux>, complain: Complain): ControllerProbePlan {
  if ((kustomization === undefined) === (helmRelease === undefined))
    complain([], `expected either kustomization or helmRelease, found ${kustomization === undefined ? 'none' : 'both'}`);
  const object = kustomization === undefined ? 'HelmRelease' : 'Kustomization';
  const name = kustomization ?? helmRelease ?? '';
  return { kind: 'flux', object, name, namespace: 'flux-system', restarts: 1, ...rest };
}
