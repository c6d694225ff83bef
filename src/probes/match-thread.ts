/** Looks for one pattern in one text, in a thread of its own: see match.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { RE2JS } from 're2js';

export interface PatternRequest {
  readonly pattern: string;
  readonly text: string;
}

const { pattern, text }: PatternRequest = workerData;
parentPort?.postMessage(RE2JS.compile(pattern).matcher(text).find());
