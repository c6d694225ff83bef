import type { Evidence } from '../../domain/evidence.ts';
import { formatSeconds } from '../../domain/watch.ts';
import type { TextMask } from '../../platform/docker/log-lines.ts';
import { healthOf, type Probe, type ReadinessResult, type State } from '../../platform/docker/readiness.ts';
import { CheckRefused } from '../check.ts';
import { wayOutHint } from '../way-out.ts';
import { describeObject, type JsonMembers } from './expected-output.ts';
import type { SmokePlan } from './plan.ts';

export interface FailureContext {
  readonly smoke: SmokePlan;
  /** What ran it, for people: `platform linux/amd64`, `pod on node-1`. */
  readonly where: string;
  readonly probe: Pick<Probe, 'kind' | 'what'> | undefined;
  /** Last lines of the log, masked. */
  readonly log: string;
  readonly mask: TextMask;
}

/** The answer is no: what was expected, what the container did instead, and what can be done. */
export function smokeRefusal(judgement: ReadinessResult, context: FailureContext): CheckRefused {
  const { state } = judgement;
  return new CheckRefused('SmokeFailed', context.mask(describe(judgement, context)), [evidenceOf(state, context)]);
}

function evidenceOf({ Running, ExitCode, OOMKilled }: State, { where, log }: FailureContext): Evidence {
  const facts = [
    where,
    // A container that still runs has exit code 0 in Docker's answer, which would mislead.
    ...(Running ? [] : [`exit code ${ExitCode}`]),
    ...(OOMKilled ? ['out of memory'] : []),
  ];
  return { title: 'Smoke-tested', passed: false, text: facts.join(', '), log };
}

function describe(judgement: ReadinessResult, context: FailureContext): string {
  const { smoke, probe } = context;
  const expected = expectation(smoke, probe, judgement.state);
  const capability = capabilityHint(smoke, `${judgement.state.Error}\n${context.log}`, judgement.state);
  const hint = `${capability}${wayOutHint(smoke.network, context.log, 'smoke')}`;
  if (judgement.verdict.kind === 'unhealthy')
    return `expected ${expected}, but its HEALTHCHECK turned unhealthy after ${formatSeconds(judgement.afterMs)}${lastHealth(judgement.state)}${hint}`;
  if (judgement.verdict.kind === 'timed-out') return `expected ${expected}, but ${whatWasMissing(judgement, context)}${hint}`;
  return `expected ${expected}, but ${howItExited(judgement, smoke)}${hint}`;
}

function expectation(smoke: SmokePlan, probe: FailureContext['probe'], state: State): string {
  const within = `within ${formatSeconds(smoke.timeoutMs)}`;
  if (smoke.expect !== undefined) return `the container to end with exit code 0 ${within} (${describeRun(smoke)})`;
  if (probe !== undefined) return `the container to be ready ${within} (${probe.what})`;
  if (healthOf(state) !== undefined) return `the container to be healthy ${within} (its HEALTHCHECK)`;
  return `the container to stay up for ${formatSeconds(smoke.stayUpMs)}`;
}

/** For messages: `run spec`. */
function describeRun({ command = [] }: SmokePlan): string {
  return command.length === 0 ? "run, with the image's own command" : `run ${command.join(' ')}`;
}

/** The setting that says what is started. */
function commandKey({ expect }: SmokePlan): string {
  return expect === undefined ? 'smoke.command' : 'smoke.run';
}

function howItExited({ state, afterMs }: ReadinessResult, smoke: SmokePlan): string {
  const ran = ranFor(state) ?? afterMs;
  const when = ran < 100 ? 'at once' : `after ${formatSeconds(ran)}`;
  const memory = `${Math.round(smoke.memoryBytes / 1024 / 1024)} MiB`;
  if (state.OOMKilled)
    return `it ran out of memory ${when} (exit code ${state.ExitCode}): raise smoke.memory, now ${memory}, or make the image need less`;
  const code = `it exited ${when} with code ${state.ExitCode}`;
  if (state.ExitCode === 0)
    return `${code}: a service has to keep running; set smoke.command if it is started in another way, or smoke.run if it is a job that ends`;
  return `${code}: its last log lines say why; correct the image, or what it is given by smoke.env, smoke.envFile or ${commandKey(smoke)}`;
}

function whatWasMissing(judgement: ReadinessResult, { smoke, probe }: FailureContext): string {
  const raise = 'raise smoke.timeout, or see the log lines for what holds it up';
  if (smoke.expect !== undefined) return `it still runs: ${raise}`;
  if (probe !== undefined)
    return `${probe.what} was not answered (last: ${judgement.lastFound ?? 'no answer'}): correct the probe if it asks for the wrong thing, ${raise}`;
  const health = healthOf(judgement.state);
  if (health !== undefined) return `its HEALTHCHECK is still ${health}${lastHealth(judgement.state)}: ${raise}`;
  return `smoke.timeout is over after ${formatSeconds(smoke.timeoutMs)}: set smoke.stayUp below smoke.timeout`;
}

function lastHealth(state: State): string {
  const output = state.Health?.Log?.at(-1)?.Output.replace(/\s+/g, ' ').trim().slice(0, 200);
  return output ? ` (it said: ${output})` : '';
}

/** It ended well, but its output is not what was expected. */
export function outputRefusal(expected: JsonMembers, state: State, context: FailureContext): CheckRefused {
  const message =
    `expected the container to print ${describeObject(expected)} as a line of its own (${describeRun(context.smoke)}), but it ended with ` +
    'exit code 0 and without one (of a long output, only the end is looked at): correct the image, smoke.run or smoke.expect';
  return new CheckRefused('SmokeFailed', context.mask(message), [evidenceOf(state, context)]);
}

/** How long the container's process ran, by the daemon's clock; undefined where it never started. */
export function ranFor(state: State): number | undefined {
  const ms = Date.parse(state.FinishedAt) - Date.parse(state.StartedAt);
  return Date.parse(state.StartedAt) > 0 && ms >= 0 ? ms : undefined;
}

/** What a log says, and which capability is then the likely one. Only for advice: a wrong guess costs a reader a moment. */
const symptoms: readonly (readonly [RegExp, string])[] = [
  [/chown|fchown|change owner/i, 'CHOWN'],
  [/set(re|res|e)?[ug]id|setgroups|initgroups|su-exec|gosu|switch(ing|ed)? (user|to)/i, 'SETUID and SETGID'],
  [/(bind|listen)\b.*(permission denied|not permitted|EACCES)/i, 'NET_BIND_SERVICE'],
  [/chmod|utime/i, 'FOWNER'],
  [/raw socket|ping:/i, 'NET_RAW'],
  [/permission denied|EACCES/i, 'DAC_OVERRIDE'],
];

/** Advice where the container seems to want a capability: it has none but the configured ones. */
export function capabilityHint(smoke: Pick<SmokePlan, 'capabilities'>, text: string, state: Pick<State, 'Running'>): string {
  if (state.Running || !/operation not permitted|permission denied|EPERM|EACCES|not permitted/i.test(text)) return '';
  const likely = symptoms.find(([symptom]) => symptom.test(text))?.[1];
  const has = smoke.capabilities.length === 0 ? 'no Linux capabilities' : `only ${smoke.capabilities.join(', ')}`;
  const guess = likely === undefined ? '' : ` (here perhaps ${likely})`;
  return `. It was refused an operation, and has ${has}: if it needs one, add it to smoke.capabilities${guess}`;
}

/**
 * A container that Docker could not start. Exit codes 126 and 127 are Docker's words for a command that cannot be run or is not there;
 * a refused operation is the image's or the plan's too. Anything else (no port, no disk) is Docker's own trouble.
 */
export function startRefusal(error: Error, state: State, context: FailureContext): CheckRefused | undefined {
  // A limit that the daemon may not set is no fault of the image.
  const refused = /operation not permitted/i.test(error.message) && !/setting rlimit/.test(error.message);
  if (![126, 127].includes(state.ExitCode) && !refused) return undefined;
  const why = error.message.replace(/^\(HTTP code \d+\) [^-]*- /, '').trim();
  return cannotStart(why, state, context, { cause: error });
}

export function cannotStart(why: string, state: State, context: FailureContext, options?: ErrorOptions): CheckRefused {
  const hint = capabilityHint(context.smoke, why, state);
  const message = `expected the container to start, but its command cannot be run (${why}): correct the image or ${commandKey(context.smoke)}${hint}`;
  return new CheckRefused('SmokeFailed', context.mask(message), [evidenceOf(state, context)], options);
}
