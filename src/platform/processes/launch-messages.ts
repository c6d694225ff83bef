import { codeOf, messageOf } from '../../domain/errors.ts';
import type { ProgramEnd, ProgramRun } from './program.ts';

/** What is said between the two processes of launcher.ts. */

export type LaunchRequest = { readonly id: number; readonly run: Omit<ProgramRun, 'signal'> } | { readonly stop: number };

export type LaunchAnswer = { readonly id: number } & (
  | { readonly end: ProgramEnd }
  | { readonly error: { readonly message: string; readonly code?: string } }
);

/** What is left of an error on its way to another process. */
export function readError(error: unknown): { readonly message: string; readonly code?: string } {
  const code = codeOf(error);
  return { message: messageOf(error), ...(typeof code === 'string' && { code }) };
}
