import { z } from 'zod';
import { usualLimits } from '../../platform/docker/limits.ts';
import type { ReadyProbe } from '../../platform/docker/readiness.ts';
import type { Complain } from '../../settings/problem.ts';
import { duration, memory, port, type SecretCheck, text } from '../../settings/scalars.ts';
import { expecting, map, oneOf, optional } from '../../settings/wording.ts';
import { environment } from '../check.ts';
import { expectedEnd, resolveExpectedEnd } from './expected-output.ts';

/** What the configuration says of smoke tests. */

const words = z.array(z.string()).min(1);
const networks = ['internal', 'full', 'none'] as const;
const readOnlyDisk = 64 * 1024 ** 2;

const objectName = (what: string) => text(what, /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/);

const podUser = expecting('the number of a user (not 0), or image');
const kubernetes = map(
  {
    context: optional(text('a context of the kubeconfig'), 'Default: the current one, or in a pod its service account.'),
    namespace: optional(text('a namespace', /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/), 'Default: landfall-smoke.'),
    user: optional(
      z.union([z.int().min(1, podUser), z.literal('image')], podUser),
      'The number of the user that it runs as, or image: as whom the image says, which may be root. Default: as whom the image says, and never root.',
    ),
    imagePullSecrets: optional(
      z.array(objectName('the name of a Secret')),
      'Secrets of that namespace by which the image is pulled. Default: what the cluster itself has.',
    ),
  },
  'It is started as a pod of a cluster, and no Docker is needed.',
);

/** Where a smoke test is a pod, and as whom. */
export type PodSettings = z.output<typeof kubernetes> & { readonly namespace: string };

export function smokeSchema(check: SecretCheck) {
  return map(
    {
      timeout: optional(duration, 'Longest time from start to ready, or to its end. Default: 60s.'),
      stayUp: optional(duration, 'How long a container without probe and HEALTHCHECK must stay up. Default: 10s.'),
      memory: optional(memory, 'Memory limit, such as 512m (the default).'),
      cpus: optional(z.number().positive(), 'CPU limit. Default: 1.'),
      pids: optional(z.int().min(1), 'Most processes and threads. Default: 256.'),
      capabilities: optional(
        z.array(text('a Linux capability such as NET_BIND_SERVICE', /^(?:CAP_)?[A-Z][A-Z_]+$/)),
        'Linux capabilities that are kept; all others are dropped.',
      ),
      network: optional(
        z.enum(networks),
        'What it reaches: internal (the default), a network of its own without a way out; full: all that Docker lets containers reach; none.',
      ),
      disk: optional(
        memory,
        'Most that it writes, where the storage driver of Docker can limit it, and the largest single file anywhere. Default: 10g.',
      ),
      readOnly: optional(
        z.boolean(),
        'The root is read-only; /tmp, /run, /var/tmp and the volumes of the image are in memory, each as large as disk (64m then).',
      ),
      runtime: optional(
        text('the name of a runtime', /^[\w.-]+$/),
        'A runtime that the Docker daemon knows, such as runsc; with kubernetes, a RuntimeClass.',
      ),
      env: environment(check, 'Environment variables.'),
      envFile: optional(text('a file of KEY=VALUE lines'), 'A file of KEY=VALUE lines on the worker, relative to this file.'),
      command: optional(words, "Replaces the image's command."),
      http: map(
        { port: port.exactOptional(), path: optional(text('a path that begins with /', /^\//), 'Default: /') },
        'Ready when this path answers with 2xx or 3xx.',
      ).exactOptional(),
      tcp: map({ port: port.exactOptional() }, 'Ready when this port takes connections.').exactOptional(),
      exec: optional(words, 'Ready when this command, run in the container, exits 0.'),
      run: optional(z.array(z.string()), "It has to run to its end with these arguments; with [], with the image's own command."),
      expect: optional(
        expectedEnd,
        'How a run has to end: exit (the default), with exit code 0; json: and one line of its output is a JSON object; { json: { type: SPEC } }: one with these members.',
      ),
      kubernetes: kubernetes.exactOptional(),
    },
    'A trial start of the container. Ready by http, tcp or exec (at most one), else by its HEALTHCHECK, else by staying up; or run to its end.',
  );
}

type SmokeInput = z.output<ReturnType<typeof smokeSchema>>;
export type SmokePlan = ReturnType<typeof resolveSmoke>;

export function resolveSmoke(smoke: SmokeInput, complain: Complain) {
  const {
    timeout = 60_000,
    stayUp = 10_000,
    memory = usualLimits.memoryBytes,
    cpus = usualLimits.cpus,
    pids = usualLimits.pids,
    capabilities = [],
    env = {},
    network = 'internal',
    expect = 'exit',
    readOnly = false,
  } = smoke;
  const { envFile, run, command = run, disk, runtime, kubernetes } = smoke;
  if (run === undefined && stayUp > timeout)
    complain(['stayUp'], 'expected stayUp to be no longer than timeout: the smoke test could never pass');
  probeComplaints(smoke, complain);
  runComplaints(smoke, complain);
  if (kubernetes !== undefined) podComplaints(smoke, complain);
  const probe = probeOf(smoke);
  return {
    timeoutMs: timeout,
    stayUpMs: stayUp,
    memoryBytes: memory,
    cpus,
    pids,
    capabilities: capabilities.map((capability) => capability.replace(/^CAP_/, '')),
    env,
    // Plans of rollouts that run may be older than these.
    ...(network !== 'internal' && { network }),
    ...(disk !== undefined ? { diskBytes: disk } : readOnly && { diskBytes: readOnlyDisk }),
    ...(readOnly && { readOnly }),
    ...(runtime !== undefined && { runtime }),
    ...(envFile !== undefined && { envFile }),
    ...(command !== undefined && { command }),
    ...(probe !== undefined && { probe }),
    ...(run !== undefined && { expect: resolveExpectedEnd(expect) }),
    ...(kubernetes !== undefined && { kubernetes: { namespace: 'landfall-smoke', ...kubernetes } }),
  };
}

function probeComplaints({ http, tcp, exec, network }: SmokeInput, complain: Complain): void {
  const probes = Object.entries({ http, tcp, exec }).filter(([, probe]) => probe !== undefined);
  if (probes.length > 1)
    complain([], `expected only one of http, tcp and exec, found ${probes.map(([key]) => key).join(' and ')}`);
  if (http !== undefined && http.port === undefined) complain(['http', 'port'], 'expected a port, found nothing');
  if (tcp !== undefined && tcp.port === undefined) complain(['tcp', 'port'], 'expected a port, found nothing');
  if (network === 'none' && (http ?? tcp) !== undefined)
    complain(['network'], 'expected internal or full beside http or tcp, found none: a container without a network has no port');
}

/** A service is asked whether it is ready; what is run to its end is not. */
const ofServices = ['http', 'tcp', 'exec', 'stayUp', 'command'] as const;

/** Keys of which one at most is meant. */
export const smokeAlternatives = [
  ['http', 'tcp', 'exec'],
  ...ofServices.flatMap((key) => [
    ['run', key],
    ['expect', key],
  ]),
];

function runComplaints(smoke: SmokeInput, complain: Complain): void {
  const { run, expect } = smoke;
  const found = ofServices.filter((key) => smoke[key] !== undefined);
  if (run !== undefined && found.length > 0)
    complain(
      ['run'],
      `expected no ${oneOf(ofServices)} beside run, found ${oneOf(found, 'and')}: what is run to its end gets its arguments from run, and is never ready`,
    );
  if (run === undefined && expect !== undefined)
    complain(['expect'], 'expected run beside expect, found none: the arguments with which the image is run to its end');
}

/** What a pod cannot be given. */
function podComplaints({ pids, network }: SmokeInput, complain: Complain): void {
  if (pids !== undefined)
    complain(['pids'], 'expected no pids beside kubernetes: how many processes a pod may have, its kubelet says (podPidsLimit)');
  if (network === 'none')
    complain(['network'], 'expected internal or full beside kubernetes, found none: every pod has a network');
}

function probeOf({ http, tcp, exec }: SmokeInput): ReadyProbe | undefined {
  if (http?.port !== undefined) return { kind: 'http', port: http.port, path: http.path ?? '/' };
  if (tcp?.port !== undefined) return { kind: 'tcp', port: tcp.port };
  return exec && { kind: 'exec', command: exec };
}
