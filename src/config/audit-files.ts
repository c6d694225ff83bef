import { format, parse } from 'node:path';
import { type Role, roles } from './roles.ts';

/**
 * The file that a process of these roles writes its audit log to. Two processes that wrote to one file would each rotate it under the
 * other's hands and lose lines, so only the one that takes webhooks writes to the file as it is configured; parts that run apart from it,
 * on one machine or in one shared folder, write beside it: `audit-worker.jsonl`.
 */
export function auditFileOf(file: string, own: readonly Role[]): string {
  if (own.includes('api')) return file;
  const { dir, name, ext } = parse(file);
  return format({ dir, name: [name, ...roles.filter((role) => own.includes(role))].join('-'), ext });
}

/** All files of one configuration that there may be, the configured one first. */
export function auditFilesOf(file: string): string[] {
  const apart: readonly (readonly Role[])[] = [['api'], ['worker'], ['deploy'], ['worker', 'deploy']];
  return apart.map((own) => auditFileOf(file, own));
}
