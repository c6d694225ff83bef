import { quoted } from '../../domain/evidence.ts';
import type { Checked } from '../../domain/outcomes.ts';
import type { ReadinessResult } from '../../platform/docker/readiness.ts';
import { printsObject } from './expected-output.ts';
import { type FailureContext, outputRefusal, ranFor, smokeRefusal } from './smoke-failure.ts';

interface SmokeEnd extends FailureContext {
  /** For people: `on` `linux/amd64`, `in a pod on` `node-1`. */
  readonly before: string;
  readonly place: string;
  /** What it printed, as far as it was kept. */
  readonly readOutput: () => Promise<string>;
}

/** What is said of an image that was started once. @throws CheckRefused */
export async function concludeSmoke(result: ReadinessResult, end: SmokeEnd): Promise<Checked> {
  const { verdict, state, afterMs } = result;
  const { expect } = end.smoke;
  if (verdict.kind === 'ready') return passed('ready', verdict.by, afterMs, end);
  if (expect === undefined || verdict.kind !== 'exited' || state.ExitCode !== 0) throw smokeRefusal(result, end);
  const { json } = expect;
  if (json !== undefined && !printsObject(await end.readOutput(), json)) throw outputRefusal(json, state, end);
  return passed('done', json === undefined ? 'exit' : 'json', ranFor(state) ?? afterMs, end);
}

function passed(what: 'ready' | 'done', by: string, afterMs: number, { before, place, log, smoke }: SmokeEnd): Checked {
  const after = `after ${(afterMs / 1000).toFixed(1)} s`;
  const where = smoke.network === 'full' ? ', with the whole network' : '';
  const text = `${what} ${after} (${quoted(by)}) ${before} ${quoted(place)}${where}`;
  const short = `${what} ${after} (${by}) ${before} ${place}${where}`;
  const evidence = [{ title: 'Smoke-tested', passed: true, text, short, log }];
  return { kind: 'checked', text: `${what} by ${by} ${after} ${before} ${place}${where}`, evidence };
}
