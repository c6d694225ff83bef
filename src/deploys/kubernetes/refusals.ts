import type { Refusal } from '../../domain/failures.ts';
import type { ManagedFields } from '../../platform/kubernetes/objects.ts';
import { nameOf, type Workload } from '../../platform/kubernetes/workloads.ts';
import { refused } from '../kit/refusals.ts';

/** What would not come right, or not last, is refused before anything is changed. @param restartsOnly the references stay as they are */
export function requireChangeable(workload: Workload, restartsOnly: boolean): void {
  const problem = (restartsOnly ? undefined : ownedByController(workload)) ?? standsStill(workload);
  if (problem !== undefined) throw problem;
}

function standsStill(workload: Workload): Refusal | undefined {
  const { kind, namespace, object } = workload;
  const name = `${nameOf(workload)} in ${namespace}`;
  if (kind === 'Deployment' && object.spec.paused === true)
    return refused(
      `${name} is paused, so no pod of it would be replaced: kubectl rollout resume ${nameOf(workload)} -n ${namespace}, then retry`,
    );
  if (object.spec.updateStrategy?.type === 'OnDelete')
    return refused(`${name} has the update strategy OnDelete, so nobody replaces its pods: set RollingUpdate, then retry`);
  return undefined;
}

interface Owner {
  readonly controller: string;
  readonly isIts: (workload: Workload) => boolean;
}

const hasLabel = (prefix: string) => (workload: Workload) =>
  Object.keys({ ...workload.object.metadata.labels, ...workload.object.metadata.annotations }).some((key) =>
    key.startsWith(prefix),
  );

const hasManager = (pattern: RegExp) => (workload: Workload) =>
  workload.object.metadata.managedFields?.some(({ manager = '' }: ManagedFields) => pattern.test(manager)) ?? false;

/** Who puts back what the repository, or the release, says. */
const controllers: readonly Owner[] = [
  { controller: 'Flux', isIts: hasLabel('kustomize.toolkit.fluxcd.io/') },
  { controller: 'Flux', isIts: hasLabel('helm.toolkit.fluxcd.io/') },
  { controller: 'Argo CD', isIts: hasLabel('argocd.argoproj.io/') },
  { controller: 'Argo CD', isIts: hasManager(/^argocd-/) },
  { controller: 'Helm', isIts: hasLabel('meta.helm.sh/') },
];

function ownedByController(workload: Workload): Refusal | undefined {
  const owner = controllers.find(({ isIts }) => isIts(workload));
  if (owner === undefined) return undefined;
  const proof =
    owner.controller === 'Helm' ? '' : `, with a watch of ${owner.controller === 'Flux' ? 'flux' : 'argocd'} to prove it`;
  return refused(
    `${nameOf(workload)} in ${workload.namespace} belongs to ${owner.controller}, which would put back what it says of it: ` +
      `take deploy out of this stage, and have the image changed in the repository by change${proof}`,
  );
}
