import type { Workload } from './workloads.ts';

/** How far Kubernetes is with replacing the pods of a workload. `text`: for people. */
export interface Progress {
  readonly isDone: boolean;
  readonly text: string;
}

/** As `kubectl rollout status` tells it, and besides that no pod of an older template is left. */
export function progressOf({ kind, object }: Workload): Progress {
  const { metadata, spec, status = {} } = object;
  // No pod belongs to it before its time.
  if (kind === 'CronJob') return { isDone: true, text: 'its next run has it' };
  if ((status.observedGeneration ?? 0) < (metadata.generation ?? 0))
    return { isDone: false, text: 'Kubernetes has not seen the change yet' };
  if (kind === 'DaemonSet') {
    const { desiredNumberScheduled: wanted = 0, updatedNumberScheduled: updated = 0, numberAvailable: available = 0 } = status;
    return progress(wanted, updated, available, 0);
  }
  const { replicas: all = 0, updatedReplicas: updated = 0, availableReplicas: available = 0 } = status;
  const { replicas: wanted = 1 } = spec;
  if (kind === 'Deployment') return progress(wanted, updated, available, all - updated);
  // Those below the partition are meant to stay as they are.
  const partition = Math.min(spec.updateStrategy?.rollingUpdate?.partition ?? 0, wanted);
  return progress(wanted - partition, Math.min(updated, wanted - partition), available - partition, all - wanted);
}

function progress(wanted: number, updated: number, available: number, old: number): Progress {
  if (updated < wanted) return { isDone: false, text: `${updated} of ${wanted} pods are of the new image` };
  if (old > 0) return { isDone: false, text: `${old} of the old pods are still there` };
  if (available < wanted) return { isDone: false, text: `${Math.max(0, available)} of ${wanted} pods are available` };
  return { isDone: true, text: `${wanted} pods run it` };
}
