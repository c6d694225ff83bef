import { z } from 'zod';
import type { ReadyProbe } from '../../platform/docker/probe.ts';
import type { Complain } from '../../settings/problem.ts';
import { duration, memory, port, type SecretCheck, text } from '../../settings/scalars.ts';
import { map } from '../../settings/wording.ts';
import { environment } from '../environment-schema.ts';

/** What the configuration says of smoke tests. */

export interface SmokePlan {
  /** Longest time from start to ready. */
  readonly timeoutMs: number;
  /** How long a container without probe and HEALTHCHECK must stay up. */
  readonly stayUpMs: number;
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly pids: number;
  readonly capabilities: readonly string[];
  /** Values are plain text or secret references. */
  readonly env: Readonly<Record<string, string>>;
  /** A file of `KEY=VALUE` lines on the worker, relative to the configuration file. */
  readonly envFile?: string;
  readonly command?: readonly string[];
  /** Absent: HEALTHCHECK, else stay up. */
  readonly probe?: ReadyProbe;
}

const words = z.array(z.string()).min(1);

export function smokeSchema(check: SecretCheck) {
  return map(
    {
      timeout: duration.meta({ description: 'Longest time from start to ready. Default: 60s.' }).exactOptional(),
      stayUp: duration
        .meta({ description: 'How long a container without probe and HEALTHCHECK must stay up. Default: 10s.' })
        .exactOptional(),
      memory: memory.meta({ description: 'Memory limit, such as 512m (the default).' }).exactOptional(),
      cpus: z.number().positive().meta({ description: 'CPU limit. Default: 1.' }).exactOptional(),
      pids: z.int().min(1).meta({ description: 'Most processes and threads. Default: 256.' }).exactOptional(),
      capabilities: z
        .array(text('a Linux capability such as NET_BIND_SERVICE', /^(?:CAP_)?[A-Z][A-Z_]+$/))
        .meta({ description: 'Linux capabilities that are kept; all others are dropped.' })
        .exactOptional(),
      env: environment(check, 'Environment variables.'),
      envFile: text('a file of KEY=VALUE lines')
        .meta({ description: 'A file of KEY=VALUE lines on the worker, relative to this file.' })
        .exactOptional(),
      command: words.meta({ description: "Replaces the image's command." }).exactOptional(),
      http: map(
        {
          port: port.exactOptional(),
          path: text('a path that begins with /', /^\//).meta({ description: 'Default: /' }).exactOptional(),
        },
        'Ready when this path answers with 2xx or 3xx.',
      ).exactOptional(),
      tcp: map({ port: port.exactOptional() }, 'Ready when this port takes connections.').exactOptional(),
      exec: words.meta({ description: 'Ready when this command, run in the container, exits 0.' }).exactOptional(),
    },
    'A trial start of the container. Ready by http, tcp or exec (at most one), else by its HEALTHCHECK, else by staying up.',
  );
}

type SmokeInput = z.output<ReturnType<typeof smokeSchema>>;

export function resolveSmoke(smoke: SmokeInput, complain: Complain): SmokePlan {
  const { timeout, stayUp, memory, capabilities, env, envFile, command, http, tcp, exec } = smoke;
  const probes = Object.entries({ http, tcp, exec }).filter(([, probe]) => probe !== undefined);
  if (probes.length > 1)
    complain([], `expected only one of http, tcp and exec, found ${probes.map(([key]) => key).join(' and ')}`);
  if (http !== undefined && http.port === undefined) complain(['http', 'port'], 'expected a port, found nothing');
  if (tcp !== undefined && tcp.port === undefined) complain(['tcp', 'port'], 'expected a port, found nothing');
  const probe = probeOf(smoke);
  const plan: SmokePlan = {
    timeoutMs: timeout ?? 60_000,
    stayUpMs: stayUp ?? 10_000,
    memoryBytes: memory ?? 512 * 1024 ** 2,
    cpus: smoke.cpus ?? 1,
    pids: smoke.pids ?? 256,
    capabilities: (capabilities ?? []).map((capability) => capability.replace(/^CAP_/, '')),
    env: env ?? {},
    ...(envFile === undefined ? {} : { envFile }),
    ...(command === undefined ? {} : { command }),
    ...(probe !== undefined && { probe }),
  };
  if (plan.stayUpMs > plan.timeoutMs) {
    complain(['stayUp'], 'expected stayUp to be no longer than timeout: the smoke test could never pass');
  }
  return plan;
}

function probeOf({ http, tcp, exec }: SmokeInput): ReadyProbe | undefined {
  if (http?.port !== undefined) return { kind: 'http', port: http.port, path: http.path ?? '/' };
  if (tcp?.port !== undefined) return { kind: 'tcp', port: tcp.port };
  return exec && { kind: 'exec', command: exec };
}
