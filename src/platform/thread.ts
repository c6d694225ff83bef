import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { codeOf } from '../domain/errors.ts';

export interface ThreadLimits {
  readonly withinMs: number;
  readonly memoryMb: number;
}

/** What a thread was asked takes more than it may. */
export class ThreadLimited extends Error {
  /** `more than 60 s`. */
  readonly excess: string;

  constructor(excess: string) {
    super(`it takes ${excess}`);
    this.name = 'ThreadLimited';
    this.excess = excess;
  }
}

/** A script beside the module that asks for it, in TypeScript as it is written or in JavaScript as it is built. @param name without an ending */
export function scriptBeside(module: string, name: string): URL {
  return new URL(`./${name}${module.endsWith('.ts') ? '.ts' : '.js'}`, module);
}

/**
 * Starts a thread with a question as its `workerData`, and returns a copy of the first message that it posts: for what strangers can make
 * take seconds, so that everything else in this process goes on.
 * @throws ThreadLimited, and the error that ended the thread
 */
export async function askThread(script: URL, question: unknown, { withinMs, memoryMb }: ThreadLimits): Promise<unknown> {
  const thread = new Worker(script, {
    workerData: question,
    // Not those of this process, which may be about its own entry point.
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: memoryMb },
  });
  const tooLong = AbortSignal.timeout(withinMs);
  try {
    const [answer]: unknown[] = await once(thread, 'message', { signal: tooLong });
    return answer;
  } catch (error) {
    if (tooLong.aborted) throw new ThreadLimited(`more than ${withinMs / 1000} s`);
    const isOutOfMemory = codeOf(error) === 'ERR_WORKER_OUT_OF_MEMORY';
    throw isOutOfMemory ? new ThreadLimited(`more than ${memoryMb} MiB of memory`) : error;
  } finally {
    await thread.terminate();
  }
}
