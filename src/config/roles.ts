import { format, parse } from 'node:path';

/** The parts of Landfall that may run apart: the ingress, the workers, and the deploys of a host. */
export const roles = ['api', 'worker', 'deploy'] as const;
export type Role = (typeof roles)[number];

/**
 * The file that a process of these roles writes its audit log to. Two processes that wrote to one file would rotate it under each other's
 * hands and lose lines, so parts that run apart from the one that takes webhooks write beside it: `audit-worker.jsonl`.
 */
export function auditFileOf(file: string, own: readonly Role[]): string {
  if (own.includes('api')) return file;
  const { dir, name, ext } = parse(file);
  return format({ dir, name: [name, ...roles.filter((role) => own.includes(role))].join('-'), ext });
}

/** The log of decisions of the process that writes this audit log: a file of its own, so that requests cannot wash decisions away. */
export function decisionFileOf(file: string): string {
  const { dir, name, ext } = parse(file);
  return format({ dir, name: `${name}-decisions`, ext });
}

/** All audit logs of one configuration that there may be, the configured one first; each has its log of decisions beside it. */
export function auditFilesOf(file: string): string[] {
  const apart: readonly (readonly Role[])[] = [['api'], ['worker'], ['deploy'], ['worker', 'deploy']];
  return apart.map((own) => auditFileOf(file, own));
}
