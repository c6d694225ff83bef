import { Refusal } from '../../domain/failures.ts';
import * as rules from '../../domain/manifest-edit/index.ts';
import type { ChangedFile } from '../../domain/plan.ts';
import { askThread, scriptBeside, ThreadLimited } from '../thread.ts';
import type { EditorAnswer, EditorRequest } from './thread.ts';

/**
 * The rules of `domain/manifest-edit` on files of any size, without blocking everything else in this process: anybody who can push
 * to a deployment repository can write a file that takes seconds to read. Up to so many characters even the worst file takes a tenth
 * of a second; a larger one is read in a thread.
 */
const longestHere = 8 * 1024;
/** The worst file of 1 MiB takes 7 seconds of an idle processor, and half of this memory. */
const threadLimits = { withinMs: 60_000, memoryMb: 768 };

export const editManifest = inThread('editManifest', rules.editManifest);
export const restoreManifest = inThread('restoreManifest', rules.restoreManifest);
export const manifestSays = inThread('manifestSays', rules.manifestSays);
export const readReference = inThread('readReference', rules.readReference);
export const sameBesidePlaces = inThread('sameBesidePlaces', rules.sameBesidePlaces);

/** One thread at a time: they take memory, and as much of a processor as there is. */
let last: Promise<unknown> = Promise.resolve();

/** @returns the same function; it also throws a Refusal `EditRefused` for a file that takes too long, or too much memory */
function inThread<Others extends readonly unknown[], Result>(
  name: EditorRequest['name'],
  act: (text: string, change: ChangedFile, ...others: Others) => Result,
): (text: string, change: ChangedFile, ...others: Others) => Promise<Result> {
  return async (text, change, ...others) => {
    if (text.length <= longestHere || text.length > rules.longestFile) return act(text, change, ...others);
    const mine = last.then(() => ask(name, text, change, others));
    last = mine.catch(() => undefined);
    // What comes out of the thread is a copy of what the same function gives here.
    return (await mine) as Result;
  };
}

async function ask(name: EditorRequest['name'], text: string, change: ChangedFile, others: readonly unknown[]): Promise<unknown> {
  const question: EditorRequest = { name, args: [text, change, ...others] };
  try {
    const answer = (await askThread(scriptBeside(import.meta.url, 'thread'), question, threadLimits)) as EditorAnswer;
    if (answer.kind === 'done') return answer.result;
    if (answer.kind === 'refused') throw new Refusal(answer.type, answer.message, answer.details);
    throw new Error(`the thread that reads ${change.file} failed: ${answer.message}`);
  } catch (error) {
    throw error instanceof ThreadLimited ? tooMuch(change, error.excess) : error;
  }
}

function tooMuch({ file }: ChangedFile, what: string): Refusal {
  return new Refusal(
    'EditRefused',
    `expected ${file} to be read at once, but it takes ${what}: see what is in it, and make it simpler or smaller`,
  );
}
