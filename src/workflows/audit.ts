import { proxySinks, type Sinks, workflowInfo } from '@temporalio/workflow';
import type { DecisionEntry } from '../domain/audit.ts';

/** A sink leaves nothing in the history and is not called in a replay. A worker that dies within a task may say a decision twice. */
export interface AuditSinks extends Sinks {
  readonly audit: { decided(entry: DecisionEntry): void };
}

const { audit } = proxySinks<AuditSinks>();

/** Both are null if the decision is about every service. `repository`: of its image. */
type On = { readonly service: string | null; readonly repository: string | null } & Partial<
  Pick<DecisionEntry, 'source' | 'stage' | 'step' | 'digest' | 'started'>
>;

/** By the name that the workflow uses: `ann`, or `ann (unverified)`. */
type DecisionAuthor = { readonly by: string; readonly reason?: string | undefined };

/** To be called once a decision is taken, behind everything that may refuse it. */
export function recordDecision(action: string, { by, reason }: DecisionAuthor, { service, repository, ...on }: On): void {
  audit.decided({
    timestamp: new Date().toISOString(),
    event_type: 'decision_made',
    source: 'operator',
    outcome: 'accepted',
    status: 'accepted',
    workflow: workflowInfo().workflowId,
    action,
    by,
    services: service === null ? [] : [service],
    images: repository === null ? [] : [repository],
    repositories: [],
    ...on,
    ...(reason && { reason }),
  });
}
