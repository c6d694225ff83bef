/** Reads one report of Trivy's, in a thread of its own: see read-report.ts. */
import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { messageOf } from '../../domain/errors.ts';
import { parseReport, type Report } from './trivy-report.ts';

export interface ReportRequest {
  readonly file: string;
  readonly platform: string;
  readonly mostFindings: number;
}

/** An error loses its class and its members on the way. */
export type ReportAnswer =
  | { readonly kind: 'read'; readonly report: Report }
  | { readonly kind: 'failed'; readonly message: string };

function answer({ file, platform, mostFindings }: ReportRequest): ReportAnswer {
  try {
    return { kind: 'read', report: parseReport(readFileSync(file, 'utf8'), platform, mostFindings) };
  } catch (error) {
    return { kind: 'failed', message: messageOf(error) };
  }
}

parentPort?.postMessage(answer(workerData));
