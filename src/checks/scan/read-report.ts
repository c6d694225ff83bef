import { readFile, stat } from 'node:fs/promises';
import { unlessAbsent } from '../../platform/files/durable-file.ts';
import { askThread, scriptBeside, ThreadLimited } from '../../platform/thread.ts';
import { CheckRefused } from '../check.ts';
import type { ReportAnswer, ReportRequest } from './report-thread.ts';
import { parseReport, type Report } from './trivy-report.ts';

/** Whoever makes an image decides how long its report is. Up to so many bytes it is read at once, a longer one in a thread. */
const longestHere = 256 * 1024;
/** A report of 100 MiB takes some seconds of an idle processor, and half of this memory. */
const threadLimits = { withinMs: 60_000, memoryMb: 1_024 };
const longest = 256 * 1024 * 1024;
/** Of an image with ten years of Debian behind it Trivy finds some thousands; so many are judged in a tenth of a second. */
export const mostFindings = 50_000;

/** @throws CheckRefused for a report that takes too much; Error where it is no report */
export async function readReport(file: string, platform: string): Promise<Report | undefined> {
  const found = await stat(file).catch(unlessAbsent);
  if (found === undefined) return undefined;
  if (found.size > longest) throw tooMuch(`more than ${longest} bytes`);
  if (found.size <= longestHere) return parseReport(await readFile(file, 'utf8'), platform);
  const report = await readInThread({ file, platform, mostFindings });
  if (report.count > mostFindings) throw tooMuch(`${report.count} findings`);
  return report;
}

async function readInThread(asked: ReportRequest): Promise<Report> {
  try {
    const answer = (await askThread(scriptBeside(import.meta.url, 'report-thread'), asked, threadLimits)) as ReportAnswer;
    if (answer.kind === 'read') return answer.report;
    throw new Error(answer.message);
  } catch (error) {
    throw error instanceof ThreadLimited ? tooMuch(error.excess) : error;
  }
}

export function tooMuch(what: string): CheckRefused {
  return new CheckRefused(
    'ScanRejected',
    `expected an image with a report of at most ${mostFindings} findings that is read within a minute, but its report has or takes ${what}: ` +
      'see what is in the image, and make it smaller',
    [],
  );
}
