import {
  isGrpcServiceError,
  ServiceError,
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import { Refusal } from '../domain/failures.ts';
import { isUnanswered } from './connection.ts';
import { CommandFailure, exitCodes } from './failure.ts';

/** What an error means to whoever typed the command: the line to show and the exit code. Undefined: it is a defect of ours. */
export function explain(error: unknown): { message: string; exitCode: number } | undefined {
  if (error instanceof CommandFailure) return { message: error.message, exitCode: error.exitCode };
  const refused = (message: string) => ({ message, exitCode: exitCodes.refused });
  if (error instanceof Refusal) return refused(error.message);
  if (error instanceof WorkflowUpdateFailedError) return refused(`refused: ${error.cause?.message ?? error.message}`);
  if (error instanceof WorkflowNotFoundError) return refused('there is no such rollout: landfall list shows what there is');
  if (error instanceof WorkflowFailedError)
    return refused(`${error.message}: ${error.cause?.message ?? 'Temporal does not say why'}`);
  if (isUnanswered(error)) return refused(noWorker);
  const cause = error instanceof ServiceError ? error.cause : error;
  if (isGrpcServiceError(cause)) return refused(`Temporal says: ${cause.details || cause.message}`);
  return undefined;
}

export const noWorker = 'Temporal has it, but no worker answered in time: start Landfall (npm start), then ask again';
