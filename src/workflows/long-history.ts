import { workflowInfo } from '@temporalio/workflow';

/** Whether a long-lived workflow should continue as new. @param longestHistory in events */
export function historyIsLong(longestHistory: number): boolean {
  return workflowInfo().historyLength > longestHistory || workflowInfo().continueAsNewSuggested;
}
