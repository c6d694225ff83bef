import type { Repository } from './state.ts';

/** What the emulator knows of workflows, their runs and deployments, beside the rest of a repository. */
export interface DeploymentsState {
  /** By file name. */
  readonly workflows: Map<string, Workflow>;
  readonly runs: WorkflowRun[];
  readonly deployments: Deployment[];
}

/** A workflow with `on: workflow_dispatch`. */
export interface Workflow {
  readonly id: number;
  readonly file: string;
  readonly inputs: readonly string[];
  /** Its `run-name`, with `{input}` for `${{ inputs.input }}`; absent: runs are called by the workflow's name. */
  readonly runName?: string;
  /** As older servers: it does not say which run it made. */
  readonly silent?: boolean;
}

export interface WorkflowRun {
  readonly id: number;
  readonly number: number;
  readonly workflow: Workflow;
  readonly title: string;
  readonly ref: string;
  readonly sha: string;
  readonly actor: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly createdAt: string;
  updatedAt: string;
  status: 'queued' | 'in_progress' | 'completed';
  conclusion: string | null;
}

export type DeploymentStateName = 'error' | 'failure' | 'inactive' | 'pending' | 'success' | 'queued' | 'in_progress';

export interface Deployment {
  readonly id: number;
  readonly sha: string;
  readonly ref: string;
  readonly environment: string;
  readonly payload: unknown;
  readonly description: string | null;
  readonly creator: string;
  readonly transient: boolean;
  readonly production: boolean;
  readonly createdAt: string;
  /** Oldest first. */
  readonly statuses: DeploymentStatus[];
}

export interface DeploymentStatus {
  readonly id: number;
  readonly state: DeploymentStateName;
  readonly description: string;
  readonly logUrl: string;
  readonly creator: string;
  readonly at: string;
}

const states = new WeakMap<Repository, DeploymentsState>();

export function deploymentsState(repository: Repository): DeploymentsState {
  const known = states.get(repository);
  if (known !== undefined) return known;
  const state: DeploymentsState = { workflows: new Map(), runs: [], deployments: [] };
  states.set(repository, state);
  return state;
}

/** A person commits `.github/workflows/FILE`. */
export function addWorkflow(repository: Repository, workflow: Omit<Workflow, 'id'>): void {
  const { workflows } = deploymentsState(repository);
  workflows.set(workflow.file, { id: 5000 + workflows.size, ...workflow });
}

/** The run comes to its end. */
export function concludeRun(run: WorkflowRun, conclusion: string, at = new Date()): void {
  run.status = 'completed';
  run.conclusion = conclusion;
  run.updatedAt = at.toISOString().replace(/\.\d+/, '');
}
