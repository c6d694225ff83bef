import { proxySinks, type Sinks, workflowInfo } from '@temporalio/workflow';
import type { DecisionEntry, RefusalEntry } from '../domain/audit.ts';
import type { ProgressEntry } from '../domain/progress.ts';

/** A sink leaves nothing in the history and is not called in a replay. A worker that dies within a task may say a decision twice. */
export interface AuditSinks extends Sinks {
  readonly audit: { decided(entry: DecisionEntry | RefusalEntry): void; moved(entry: ProgressEntry): void };
}

const { audit } = proxySinks<AuditSinks>();

/** For the log and the figures of the process that works on the rollout. */
export function recordProgress(entry: Omit<ProgressEntry, 'at' | 'rollout'>): void {
  audit.moved({ at: new Date().toISOString(), rollout: workflowInfo().workflowId, ...entry });
}

/** Both are null if the decision is about every service. `repository`: of its image. */
export type DecidedOn = { readonly service: string | null; readonly repository: string | null } & Partial<
  Pick<DecisionEntry, 'source' | 'stage' | 'step' | 'tag' | 'digest' | 'started'>
>;

/** By the name that the workflow uses: `ann`, or `ann (unverified)`. */
type DecisionAuthor = { readonly by: string; readonly reason?: string | undefined };

/** To be called once a decision is taken, behind everything that may refuse it. */
export function recordDecision(action: string, { by, reason }: DecisionAuthor, { service, repository, ...on }: DecidedOn): void {
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

/** To be called for what is refused, with the name as it was typed. */
export function recordRefusal(
  action: string,
  { by, reason }: Required<DecisionAuthor>,
  { service, repository, ...on }: DecidedOn,
): void {
  const { source: _, started: __, tag: ___, ...where } = on;
  audit.decided({
    timestamp: new Date().toISOString(),
    event_type: 'decision_refused',
    source: 'operator',
    outcome: 'refused',
    status: 'refused',
    workflow: workflowInfo().workflowId,
    action,
    by,
    reason: reason ?? 'refused',
    services: service === null ? [] : [service],
    images: repository === null ? [] : [repository],
    repositories: [],
    ...where,
  });
}
