import type { CommandProbePlan, DockerProbePlan, HttpProbePlan, ProbePlan, TcpProbePlan, WatchPlan } from '../domain/plan.ts';
import { repositoryAtGitHub } from '../settings/github.ts';
import { type Complain, within } from '../settings/problem.ts';
import type { DeployInput } from './deploy-schema.ts';
import { deploysOf } from './resolve-deploy.ts';
import type { StageContext } from './service-context.ts';
import type { WatchInput } from './watch-schema.ts';

const minute = 60_000;
const second = 1000;

/** @param deploy absent: something else deploys, so that something has to prove which image runs */
export function resolveWatch(
  watch: WatchInput,
  deploy: DeployInput | undefined,
  context: StageContext,
  complain: Complain,
): WatchPlan {
  const { deployment } = watch;
  const deployedBy = deploy === undefined ? [] : deploysOf(deploy, context.kinds);
  const isOnHost = deployedBy.some(({ asks }) => asks === undefined);
  const hasContainers = deployedBy.some(({ containerOf }) => containerOf !== undefined);
  const probes = [
    ...httpProbes(watch, isOnHost, context, complain),
    ...tcpProbes(watch, complain),
    ...dockerProbes(watch, hasContainers, complain),
    ...commandProbes(watch, complain),
  ];
  if (probes.length === 0) complain([], 'expected at least one of http, tcp, docker and command, found none');
  else if (deploy === undefined) proofComplaint(watch, probes, complain);
  const forMs = watch.for ?? minute;
  const startPeriodMs = watch.startPeriod ?? 30 * second;
  const withinMs = watch.within ?? forMs + startPeriodMs + 5 * minute;
  if (withinMs < forMs) complain(['within'], 'expected within to be no shorter than for: it could never be healthy in time');
  return {
    probes,
    forMs,
    intervalMs: watch.interval ?? 5 * second,
    failures: watch.failures ?? 3,
    startPeriodMs,
    withinMs,
    ...(deployment === undefined
      ? {}
      : {
          deployment: {
            repository: repositoryAtGitHub(deployment, context, within(complain, 'deployment')),
            environment: deployment.environment ?? context.stage,
          },
        }),
  };
}

/** With `deploy: none` nobody here knows what runs: without a proof, the health of the old image would be taken for that of the new one. */
function proofComplaint({ deployment }: WatchInput, probes: readonly ProbePlan[], complain: Complain): void {
  const isProven =
    deployment !== undefined || probes.some((probe) => probe.kind === 'docker' || ('version' in probe && probe.version));
  if (isProven) return;
  complain(
    [],
    'expected a proof of which image is healthy, because this stage has no deploy: version in an http probe, deployment, or docker with containers',
  );
}

function httpProbes(watch: WatchInput, isOnHost: boolean, context: StageContext, complain: Complain): HttpProbePlan[] {
  const check = context.checkFor(isOnHost ? 'deploy' : 'worker');
  return each(watch.http, within(complain, 'http')).map(([http, report]) => {
    const { url = '', headers = {}, body, header, timeout, ca, version } = http;
    if (url === '') report(['url'], 'expected a URL that begins with http:// or https://, found nothing');
    for (const [name, value] of Object.entries(headers)) {
      const problem = check(value);
      if (problem !== undefined) report(['headers', name], problem);
    }
    return {
      kind: 'http',
      url,
      headers,
      status: http.status === undefined ? ['2xx', '3xx'] : [http.status].flat(),
      ...(body === undefined ? {} : { body }),
      ...(header === undefined ? {} : { header }),
      timeoutMs: timeout ?? 5 * second,
      ...(ca === undefined ? {} : { ca }),
      ...(version === undefined ? {} : { version: versionOf(version, within(report, 'version')) }),
    };
  });
}

type VersionInput = NonNullable<Exclude<NonNullable<WatchInput['http']>, readonly unknown[]>['version']>;

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
  const { restarts = 0, containers } = docker === true ? {} : docker;
  if (containers === undefined && !hasContainers)
    complain(['docker'], 'expected docker with containers, because no deploy of this stage says which ones are meant');
  return [{ kind: 'docker', restarts, ...(containers === undefined ? {} : { containers }) }];
}

function commandProbes(watch: WatchInput, complain: Complain): CommandProbePlan[] {
  return each(commandsOf(watch.command), within(complain, 'command')).map(([written, report]) => {
    const { command = [], timeout } = written;
    if (command.length === 0) report(['command'], 'expected a command as a list of words or as a text, found nothing');
    return { kind: 'command', command, timeoutMs: timeout ?? 10 * second };
  });
}

type CommandMap = Exclude<NonNullable<WatchInput['command']>, readonly unknown[]>;

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
function each<Item extends object>(
  written: Item | readonly Item[] | undefined,
  complain: Complain,
): (readonly [Item, Complain])[] {
  if (written === undefined) return [];
  if (!Array.isArray(written)) return [[written as Item, complain]];
  return (written as readonly Item[]).map((item, index) => [item, within(complain, index)]);
}
