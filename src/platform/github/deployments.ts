import type { GitHubRepository } from './repository.ts';

export type DeploymentState = 'error' | 'failure' | 'inactive' | 'in_progress' | 'queued' | 'pending' | 'success';

export interface DeploymentReport {
  readonly state: DeploymentState;
  /** At most 140 characters. */
  readonly description: string;
  readonly log_url?: string;
}

/** The payload that a deployment was made with: GitHub gives it back as an object or as its JSON text. */
export function payloadOf({ payload }: { readonly payload?: unknown }): Readonly<Record<string, unknown>> {
  const value = typeof payload === 'string' ? parsed(payload) : payload;
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

/** Says how a deployment goes; what its newest status says already is not said again. */
export async function reportDeployment(
  { octokit, named }: GitHubRepository,
  id: number,
  { state, description, log_url }: DeploymentReport,
): Promise<void> {
  const { data } = await octokit.rest.repos.listDeploymentStatuses({ ...named, deployment_id: id, per_page: 1 });
  const [newest] = data;
  if (newest?.state === state && newest.description === description) return;
  const report = { state, description, ...(log_url !== undefined && { log_url }) };
  await octokit.rest.repos.createDeploymentStatus({ ...named, deployment_id: id, ...report });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
