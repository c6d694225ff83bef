import { z } from 'zod';
import type {
  CommandProbePlan,
  DockerProbePlan,
  HttpProbePlan,
  KubernetesProbePlan,
  ProbePlan,
  TcpProbePlan,
  WatchPlan,
} from '../domain/plan.ts';
import { repositoryAtGitHub } from '../settings/github.ts';
import { type Complain, within } from '../settings/problem.ts';
import {
  command,
  credentialsInUrl,
  duration,
  expression,
  githubRepository,
  port,
  text,
  textOrSecret,
} from '../settings/scalars.ts';
import { expecting, map, oneOrMany, optional } from '../settings/wording.ts';
import { type DeployInput, deploysOf } from './deploy.ts';
import type { StageContext } from './kinds.ts';
import { argocd, controllerProbes, flux } from './watch-controllers.ts';

/** How a stage may say when it is healthy, and what comes of it. All of it may come from a level above, so little is required here. */

const minute = 60_000;
const second = 1000;

const probeTimeout = optional(duration, 'Longest time of one reading. Default: 5s.');

const headerName = text('the name of a header', /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/);

const status = z
  .union([z.int().min(100).max(599), text('a status', /^[1-5](?:xx|\d\d)$/)], expecting('a status such as 200 or 2xx'))
  .transform(String);

const http = map(
  {
    url: optional(
      text('a URL that begins with http:// or https://', /^https?:\/\/[^\s/]+/)
        .refine((value) => URL.canParse(value), { error: 'expected a URL that begins with http:// or https://' })
        .refine((value) => !credentialsInUrl.test(value), {
          error: 'expected a URL without user, password or token: put them into headers, as env:NAME or file:PATH',
        }),
      'What is asked, from the host of the deploy; {service} and {stage} are filled in.',
    ),
    headers: optional(
      // Whether a secret is there is checked later, where it is known which part of Landfall uses it.
      z.record(
        headerName,
        textOrSecret(() => undefined),
      ),
      'Headers of the request. Text that begins with env: or file: is a reference to a secret.',
    ),
    status: optional(
      oneOrMany(status, 'a status such as 200 or 2xx'),
      'Which status is healthy: codes, or classes such as 2xx. Default: [2xx, 3xx].',
    ),
    body: optional(expression, 'RE2 pattern that the body has to match somewhere.'),
    header: map(
      { name: headerName, pattern: expression.describe('RE2 pattern that its value has to match.') },
      'A header that has to be there.',
    ).exactOptional(),
    timeout: probeTimeout,
    ca: optional(text('a file'), 'Certificate authorities (PEM) on the host, relative to this file.'),
    version: map(
      {
        header: optional(headerName, 'A header of the answer.'),
        json: optional(
          text('a JSON pointer such as /build/revision, or nothing', /^(?:\/.*)?$/),
          'A JSON pointer (RFC 6901) into its body.',
        ),
        equals: optional(z.enum(['tag', 'digest', 'revision']), 'What stands there.'),
      },
      'Where the answer says which image runs: the proof that it is this one.',
    ).exactOptional(),
  },
  'A request over HTTP; certificates are verified, redirects are not followed.',
);

const tcpAddress = /^(?:\[([0-9a-fA-F:]+)\]|([^\s:/[\]]+)):(\d{1,5})$/;

const tcp = z.union(
  [
    text('an address as HOST:PORT', tcpAddress).transform((value) => {
      const [, bracketed, plain = '', digits] = tcpAddress.exec(value) ?? [];
      return { host: bracketed ?? plain, port: Number(digits) };
    }),
    map(
      {
        host: optional(text('a host'), 'Default: 127.0.0.1, as seen from the host of the deploy.'),
        port: port.exactOptional(),
        timeout: probeTimeout,
      },
      'A port that takes connections.',
    ),
  ],
  expecting('an address as HOST:PORT, or a map (host, port, timeout)'),
);

const docker = z.union(
  [
    z.literal(true),
    map(
      {
        restarts: optional(z.int().min(0), 'Restarts since the deploy that are borne. Default: 0.'),
        containers: optional(
          z.array(text('the name of a service or container')).min(1),
          "Services of the stage's compose project, PROJECT/SERVICE, or containers; {service} and {stage} are filled in. Default: those of the deploy.",
        ),
      },
      'The containers themselves: running, healthy by their HEALTHCHECK, not restarted.',
    ),
  ],
  expecting('true or a map (restarts, containers)'),
);

const kubernetes = z.union(
  [
    z.literal(true),
    map(
      { restarts: optional(z.int().min(0), 'Restarts since the deploy that are borne. Default: 0.') },
      'The pods of the deploy: ready, not restarted.',
    ),
  ],
  expecting('true or a map (restarts)'),
);

const commandMap = map(
  { command: command.exactOptional(), timeout: optional(duration, 'Longest time of one run. Default: 10s.') },
  'A command on the host, without a shell; exit code 0 is healthy.',
);

/** A list of texts is the words of one command; a list of lists or maps is several. */
const commands = z.union(
  [command, commandMap, z.array(z.union([z.array(z.string()).min(1), commandMap])).min(1)],
  expecting('a command, a map (command, timeout), or a list of these'),
);

export const watch = map(
  {
    http: oneOrMany(http, 'a map (url, status, …)').exactOptional(),
    tcp: oneOrMany(tcp, 'an address as HOST:PORT, or a map (host, port, timeout),').exactOptional(),
    docker: docker.exactOptional(),
    kubernetes: kubernetes.exactOptional(),
    argocd: argocd.exactOptional(),
    flux: flux.exactOptional(),
    command: commands.exactOptional(),
    for: optional(duration, 'How long it has to stay healthy. Default: 1m.'),
    interval: optional(duration, 'Time between two readings. Default: 5s.'),
    failures: optional(z.int().min(0), 'How many failed readings in a row are borne. Default: 3.'),
    startPeriod: optional(duration, 'Failed readings count only after so long, or after the first good one. Default: 30s.'),
    within: optional(duration, 'Longest time until the verdict. Default: for and startPeriod and 5m.'),
    deployment: map(
      {
        repository: optional(githubRepository, 'owner/name. Default: that of the change.'),
        environment: optional(text('the name of an environment'), "Default: the stage's name."),
      },
      'A Deployment at GitHub whose success proves which image runs.',
    ).exactOptional(),
  },
  'When the stage is healthy: all probes together, and what proves that it is this very image.',
);

type WatchInput = z.output<typeof watch>;

/** @param deploy absent: something else deploys, so that something has to prove which image runs */
export function resolveWatch(
  watch: WatchInput,
  deploy: DeployInput | undefined,
  context: StageContext,
  complain: Complain,
): WatchPlan {
  const { for: forMs = minute, interval = 5 * second, failures = 3, startPeriod = 30 * second, deployment } = watch;
  const { within: withinMs = forMs + startPeriod + 5 * minute } = watch;
  const deployedBy = deploy === undefined ? [] : deploysOf(deploy, context.kinds);
  const isOnHost = deployedBy.some(({ asks }) => asks === undefined);
  const hasContainers = deployedBy.some(({ containerOf }) => containerOf !== undefined);
  const probes = [
    ...httpProbes(watch, isOnHost, context, complain),
    ...tcpProbes(watch, complain),
    ...dockerProbes(watch, hasContainers, complain),
    ...kubernetesProbes(watch, deployedBy, complain),
    ...controllerProbes(watch, complain),
    ...commandProbes(watch, complain),
  ];
  if (probes.length === 0)
    complain([], 'expected at least one of http, tcp, docker, kubernetes, argocd, flux and command, found none');
  else if (deploy === undefined) proofComplaint(watch, probes, complain);
  if (withinMs < forMs) complain(['within'], 'expected within to be no shorter than for: it could never be healthy in time');
  const proof = deployment && {
    repository: repositoryAtGitHub(deployment, context, within(complain, 'deployment')),
    environment: deployment.environment ?? context.stage,
  };
  const times = { forMs, intervalMs: interval, failures, startPeriodMs: startPeriod, withinMs };
  return { probes, ...times, ...(proof !== undefined && { deployment: proof }) };
}

/** With `deploy: none` nobody here knows what runs: without a proof, the health of the old image would be taken for that of the new one. */
function proofComplaint({ deployment }: WatchInput, probes: readonly ProbePlan[], complain: Complain): void {
  const proving = ['docker', 'argocd', 'flux'];
  if (deployment !== undefined || probes.some((probe) => proving.includes(probe.kind) || ('version' in probe && probe.version)))
    return;
  complain(
    [],
    'expected a proof of which image is healthy, because this stage has no deploy: version in an http probe, deployment, docker with containers, argocd, or flux',
  );
}

function httpProbes(watch: WatchInput, isOnHost: boolean, context: StageContext, complain: Complain): HttpProbePlan[] {
  const check = context.checkFor(isOnHost ? 'deploy' : 'worker');
  return each(watch.http, within(complain, 'http')).map(([http, report]) => {
    const { url = '', headers = {}, status = ['2xx', '3xx'], timeout = 5 * second, version, ...rest } = http;
    if (url === '') report(['url'], 'expected a URL that begins with http:// or https://, found nothing');
    for (const [name, value] of Object.entries(headers)) {
      const problem = check(value);
      if (problem !== undefined) report(['headers', name], problem);
    }
    const proof = version && versionOf(version, within(report, 'version'));
    const asked = { kind: 'http', url, headers, status: [status].flat(), timeoutMs: timeout } as const;
    return { ...asked, ...rest, ...(proof !== undefined && { version: proof }) };
  });
}

type VersionInput = NonNullable<z.output<typeof http>['version']>;

function versionOf({ header, json, equals }: VersionInput, complain: Complain): NonNullable<HttpProbePlan['version']> {
  if ((header === undefined) === (json === undefined))
    complain([], `expected either header or json, found ${header === undefined ? 'none' : 'both'}`);
  if (equals === undefined) complain(['equals'], 'expected tag, digest or revision, found nothing');
  return { from: header === undefined ? { json: json ?? '' } : { header }, equals: equals ?? 'digest' };
}

function tcpProbes(watch: WatchInput, complain: Complain): TcpProbePlan[] {
  return each(watch.tcp, within(complain, 'tcp')).map(([tcp, report]) => {
    const { host = '127.0.0.1', port = 0 } = tcp;
    if (port < 1 || port > 65535) report('port' in tcp ? [] : ['port'], 'expected a port from 1 to 65535, found none');
    return { kind: 'tcp', host, port, timeoutMs: ('timeout' in tcp ? tcp.timeout : undefined) ?? 5 * second };
  });
}

function dockerProbes({ docker }: WatchInput, hasContainers: boolean, complain: Complain): DockerProbePlan[] {
  if (docker === undefined) return [];
  const probe: DockerProbePlan = { kind: 'docker', restarts: 0, ...(docker !== true && docker) };
  if (probe.containers === undefined && !hasContainers)
    complain(['docker'], 'expected docker with containers, because no deploy of this stage says which ones are meant');
  return [probe];
}

function kubernetesProbes(
  { kubernetes }: WatchInput,
  deployedBy: ReturnType<typeof deploysOf>,
  complain: Complain,
): KubernetesProbePlan[] {
  if (kubernetes === undefined) return [];
  if (deployedBy.every(({ podsOf }) => podsOf === undefined))
    complain(['kubernetes'], 'expected a deploy by kubernetes beside it, whose pods are meant, found none');
  return [{ kind: 'kubernetes', restarts: 0, ...(kubernetes !== true && kubernetes) }];
}

function commandProbes(watch: WatchInput, complain: Complain): CommandProbePlan[] {
  return each(commandsOf(watch.command), within(complain, 'command')).map(([written, report]) => {
    const { command = [], timeout = 10 * second } = written;
    if (command.length === 0) report(['command'], 'expected a command as a list of words or as a text, found nothing');
    return { kind: 'command', command, timeoutMs: timeout };
  });
}

type CommandMap = z.output<typeof commandMap>;

/** A list of texts is the words of one command. */
function commandsOf(written: WatchInput['command']): CommandMap | CommandMap[] | undefined {
  if (!isList(written)) return written;
  const words = written.filter((item) => typeof item === 'string');
  if (words.length > 0) return { command: words };
  return written.flatMap((item) => (typeof item === 'string' ? [] : [isList(item) ? { command: item } : item]));
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

/** Each of one or many, with the place to complain about it. */
function each<Item extends object>(written: Item | Item[] | undefined, complain: Complain): (readonly [Item, Complain])[] {
  if (written === undefined) return [];
  if (!Array.isArray(written)) return [[written, complain]];
  return written.map((item, index) => [item, within(complain, index)]);
}
