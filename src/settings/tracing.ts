import type { Environment } from '../domain/environment.ts';
import { messageOf } from '../domain/errors.ts';

/** What the standard variables say of traces: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ */
export interface TracingSettings {
  /** Of the collector, for traces. */
  readonly url: URL;
  /** Beside those of every request; their values may be secret. */
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds for each request. */
  readonly timeoutMs: number;
  /** Part of the traces that is sent, from 0 to 1. */
  readonly ratio: number;
  /** `service.name` and what else is said of this process. */
  readonly resource: Readonly<Record<string, string>>;
}

/** Whether traces are asked for. Cheap, as it is asked at every start. */
export function isTracingAskedFor(env: Environment): boolean {
  const isOff = env.OTEL_SDK_DISABLED?.toLowerCase() === 'true' || env.OTEL_TRACES_EXPORTER === 'none';
  return !isOff && Boolean(env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT);
}

/** @throws Error with what is wrong with a variable, without its value where that may be secret */
export function parseTracing(env: Environment): TracingSettings {
  const ofTraces = (name: string): string => env[`OTEL_EXPORTER_OTLP_TRACES_${name}`] || env[`OTEL_EXPORTER_OTLP_${name}`] || '';
  only('OTEL_TRACES_EXPORTER', env.OTEL_TRACES_EXPORTER, 'otlp');
  only('OTEL_EXPORTER_OTLP_PROTOCOL', ofTraces('PROTOCOL'), 'http/protobuf');
  const timeoutMs = Number(ofTraces('TIMEOUT') || 10_000);
  if (!Number.isInteger(timeoutMs) || timeoutMs <= 0) throw new Error('OTEL_EXPORTER_OTLP_TIMEOUT: expected milliseconds');
  const about = pairsOf('OTEL_RESOURCE_ATTRIBUTES', env.OTEL_RESOURCE_ATTRIBUTES ?? '');
  return {
    url: urlOf(env),
    headers: pairsOf('OTEL_EXPORTER_OTLP_HEADERS', ofTraces('HEADERS')),
    timeoutMs,
    ratio: ratioOf(env.OTEL_TRACES_SAMPLER || 'parentbased_always_on', env.OTEL_TRACES_SAMPLER_ARG),
    resource: { 'service.name': 'landfall', ...about, ...(env.OTEL_SERVICE_NAME && { 'service.name': env.OTEL_SERVICE_NAME }) },
  };
}

function only(name: string, value: string | undefined, known: string): void {
  if (value && value !== known) throw new Error(`${name}: expected ${known}, which is all that there is here, found ${value}`);
}

/** One for traces is taken as it is; one for all signals is where `/v1/traces` begins. */
function urlOf({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: ownUrl, OTEL_EXPORTER_OTLP_ENDPOINT: base = '' }: Environment): URL {
  const name = ownUrl ? 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT' : 'OTEL_EXPORTER_OTLP_ENDPOINT';
  const text = ownUrl || `${base.replace(/\/$/, '')}/v1/traces`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol)) return url;
  // Not shown: it may carry a password.
  throw new Error(`${name}: expected a URL such as http://localhost:4318`);
}

/** Where a trace begins here nobody has decided before us, so that those that look at a parent first do the same without. */
function ratioOf(sampler: string, argument: string | undefined): number {
  switch (sampler.replace(/^parentbased_/, '')) {
    case 'always_on':
      return 1;
    case 'always_off':
      return 0;
    case 'traceidratio': {
      const ratio = Number(argument || 1);
      if (ratio >= 0 && ratio <= 1) return ratio;
      throw new Error(`OTEL_TRACES_SAMPLER_ARG: expected a number from 0 to 1, found ${argument}`);
    }
    default:
      throw new Error(
        `OTEL_TRACES_SAMPLER: expected always_on, always_off or traceidratio, with parentbased_ before it or not, found ${sampler}`,
      );
  }
}

/** `one=1,two=2`, each encoded as in a URL. */
function pairsOf(name: string, text: string): Record<string, string> {
  const pairs = text.split(',').filter((pair) => pair.trim() !== '');
  try {
    return Object.fromEntries(
      pairs.map((pair) => {
        const [, key = '', value = ''] = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/.exec(pair) ?? [];
        if (key === '') throw new Error('one has no name');
        return [decodeURIComponent(key), decodeURIComponent(value)];
      }),
    );
  } catch (error) {
    throw new Error(`${name}: expected NAME=VALUE,NAME=VALUE, each encoded as in a URL: ${messageOf(error)}`);
  }
}
