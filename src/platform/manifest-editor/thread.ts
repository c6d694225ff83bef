/** One use of the rules in `domain/manifest-edit`, in a thread of its own: see index.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { type FailureType, Refusal } from '../../domain/failures.ts';
import {
  editManifest,
  manifestSays,
  readReference,
  restoreManifest,
  sameBesidePlaces,
} from '../../domain/manifest-edit/index.ts';

const rules = { editManifest, manifestSays, readReference, restoreManifest, sameBesidePlaces };

export interface EditorRequest {
  readonly name: keyof typeof rules;
  readonly args: readonly unknown[];
}

export type EditorAnswer =
  | { readonly kind: 'done'; readonly result: unknown }
  | { readonly kind: 'refused'; readonly type: FailureType; readonly message: string; readonly details: readonly unknown[] }
  | { readonly kind: 'failed'; readonly message: string };

/** An error loses its class and its members on the way. */
function answer({ name, args }: EditorRequest): EditorAnswer {
  try {
    return { kind: 'done', result: Reflect.apply(rules[name], undefined, args) };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (!(error instanceof Refusal)) return { kind: 'failed', message: error.stack ?? error.message };
    return { kind: 'refused', type: error.type, message: error.message, details: error.details };
  }
}

parentPort?.postMessage(answer(workerData));
