import type { KubernetesClients } from '../../src/platform/kubernetes/client.ts';

/** For what never asks one. */
export const noClusters: KubernetesClients = () => Promise.reject(new Error('Kubernetes was asked'));
