import type { SmokePlan } from '../../src/checks/smoke/plan.ts';
import type { ImageOptions } from './images.ts';

/** A program that a smoke test runs to its end, and what is said of it by Docker and by a cluster alike. */
export interface SmokeRunCase {
  readonly what: string;
  readonly options: ImageOptions;
  readonly settings: Partial<SmokePlan>;
  /** Absent: it passes. */
  readonly failure?: string;
  readonly says: RegExp;
  /** Its last lines. */
  readonly log?: RegExp;
}

/** It is run as `SCRIPT spec`. */
function program(name: string, script: string): Pick<SmokeRunCase, 'what' | 'options'> {
  return { what: name, options: { entrypoint: ['sh', '-c', script, name], cmd: ['serve'] } };
}

const run = { command: ['spec'], expect: {} };
const expectsSpec = { command: ['spec'], expect: { json: { type: 'SPEC' } } };
/** Longer than the pieces in which a log is kept. */
const long = "$(busybox dd if=/dev/zero bs=1k count=40 2>/dev/null | busybox tr '\\0' x)";

export const smokeRunCases: readonly SmokeRunCase[] = [
  {
    ...program(
      'prints-spec',
      `echo '{"type":"LOG"}'; echo "{\\"type\\":\\"$(echo $1 | busybox tr a-z A-Z)\\",\\"x\\":\\"${long}\\"}"; i=0; while [ $i -lt 60 ]; do echo "line $i"; i=$((i+1)); done`,
    ),
    settings: expectsSpec,
    says: /^done by json after [\d.]+ s (?:in a pod )?on \S+$/,
    log: /^line 10\n(?:line \d+\n){48}line 59$/,
  },
  {
    what: 'job',
    options: { cmd: ['echo', 'migrated'] },
    settings: { command: [], expect: {} },
    says: /^done by exit after [\d.]+ s (?:in a pod )?on \S+$/,
    log: /^migrated$/,
  },
  {
    ...program('exits', 'echo "no $1 for $TOKEN" >&2; exit 1'),
    settings: { ...expectsSpec, env: { TOKEN: 'env:T0KEN' } },
    failure: 'SmokeFailed',
    says: /^expected the container to end with exit code 0 within 60 s \(run spec\), but it exited (?:at once|after [\d.]+ s) with code 1: .* smoke\.envFile or smoke\.run$/,
    log: /^no spec for \[masked\]$/,
  },
  {
    ...program('prints-other', `echo '{"type":"LOG"}'; echo '{"type":"SPEC"'; echo end`),
    settings: expectsSpec,
    failure: 'SmokeFailed',
    says: /^expected the container to print a JSON object with "type":"SPEC" as a line of its own \(run spec\), but it ended with exit code 0 and without one/,
    log: /^\{"type":"LOG"\}\n\{"type":"SPEC"\nend$/,
  },
  {
    ...program('hangs', 'echo waiting; exec sleep 60'),
    settings: { ...run, timeoutMs: 2_000, stayUpMs: 1 },
    failure: 'SmokeFailed',
    says: /^expected the container to end with exit code 0 within 2 s \(run spec\), but it still runs: raise smoke\.timeout/,
    log: /^waiting$/,
  },
  {
    ...program('hungry-run', 'echo begins; x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done'),
    settings: run,
    failure: 'SmokeFailed',
    says: /but it ran out of memory .* \(exit code 137\): raise smoke\.memory, now 64 MiB/,
    log: /^begins$/,
  },
];

/** Of what needs one. */
export const secretsOfRuns = (value: string) => (value === 'env:T0KEN' ? 'hunter22' : value);
