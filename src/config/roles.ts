/** The parts of Landfall that may run apart: the ingress, the workers, and the deploys of a host. */
export const roles = ['api', 'worker', 'deploy'] as const;
export type Role = (typeof roles)[number];
