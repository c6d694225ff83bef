/** The branch of a service's proposals to a stage. */
export function branchOf(service: string, stage: string): string {
  return `landfall/${service}-${stage}`;
}

/** The branch that puts back what stood there before. */
export function rollbackBranchOf(service: string, stage: string): string {
  return `${branchOf(service, stage)}-rollback`;
}
