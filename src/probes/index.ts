import type Docker from 'dockerode';
import type { DeployKind } from '../deploys/deploy.ts';
import type { Environment } from '../domain/environment.ts';
import type { Digest, Repository } from '../domain/image-reference.ts';
import type { Reading, RunningImage, Watched } from '../domain/outcomes.ts';
import type { DeployPlan, WatchPlan } from '../domain/plan.ts';
import { countRestarts, type ExpectedImage, expectedVersion, type Observation, type Restarts } from '../domain/watch.ts';
import { healthOf } from '../platform/docker/readiness.ts';
import type { KubernetesClients } from '../platform/kubernetes/client.ts';
import { type ProbeAnswer, together } from './answer.ts';
import { askCommand } from './command.ts';
import {
  type ContainerSnapshot,
  type ContainersSnapshot,
  containersOf,
  DaemonAway,
  findContainers,
  findNamed,
} from './containers.ts';
import type { CommitCheck } from './controllers/controller.ts';
import { askController } from './controllers/index.ts';
import { askHttp } from './http.ts';
import { readContainerLog } from './log.ts';
import { askPods } from './pods.ts';
import { askTcp } from './tcp.ts';

/** Checks what a stage runs. */
export interface Probes {
  /**
   * All probes of a watch once, side by side: healthy where each of them is. What fails says so in `text`.
   * @param deploy of the stage: its kind knows what `running` names
   * @returns `unanswered` if nobody could answer, or it is not decided yet: says nothing against what runs
   * @throws Refusal `SecretMissing`, and the signal's reason
   */
  read(
    watch: WatchPlan,
    running: readonly RunningImage[],
    signal: AbortSignal,
    deploy?: DeployPlan,
  ): Promise<Reading & { readonly unanswered?: true }>;

  /** The same for a watch, which probes repeatedly: with the proof of the digest, and restarts counted. */
  probe(request: ProbeRequest): Promise<ProbeResult>;
}

export interface ProbeRequest {
  readonly watch: WatchPlan;
  readonly deploy?: DeployPlan | undefined;
  readonly running: readonly RunningImage[];
  /** Absent: nothing has to be proven. */
  readonly expected?: (ExpectedImage & { readonly digests: readonly Digest[]; readonly repository: Repository }) | undefined;
  /** Which commits of the deployment repository have what is expected; absent: nobody knows. */
  readonly isOurs?: CommitCheck | undefined;
  /** As the previous probe counted them; absent at the first. */
  readonly restarts?: Restarts | undefined;
  /** Further answers, judged with those of the probes. */
  readonly also?: readonly ProbeAnswer[];
  readonly signal: AbortSignal;
}

export interface ProbeResult {
  readonly kind: Observation['kind'];
  readonly reading: Reading;
  readonly restarts: Restarts | undefined;
  /** What proves the digest, where the reading is good. */
  readonly proof: Extract<Watched['proof'], 'container' | 'probe' | 'none'>;
  /** The end of the log of what is not well, if there is such a thing. */
  readonly readLog?: (() => Promise<string | undefined>) | undefined;
}

export interface ProbeDependencies {
  readonly docker: Docker;
  /** To find the containers that they bring. */
  readonly deploys: readonly DeployKind[];
  readonly clusters: KubernetesClients;
  /** What `ca` of a probe is relative to, and where commands start: the folder of the configuration file. */
  readonly baseDir: string;
  readonly secrets: (value: string) => string;
  /** Landfall's own, of which commands get what any program needs. */
  readonly env: Environment;
  readonly now?: () => Date;
}

export function createProbes(dependencies: ProbeDependencies): Probes {
  const { now = () => new Date() } = dependencies;
  async function probe(request: ProbeRequest): Promise<ProbeResult> {
    const at = now().toISOString();
    const startedAt = performance.now();
    const [asked, ...contained] = await Promise.all([
      askOthers(dependencies, request),
      askContainers(dependencies, request),
      ...askPodsOf(dependencies, request),
      ...askControllers(dependencies, request),
    ]);
    const { answers, isProof, restarts, readLog } = allOf(contained);
    const { kind, text } = together([...asked, ...answers, ...(request.also ?? [])]);
    const tookMs = Math.round(performance.now() - startedAt);
    const proof = isProof ? 'container' : isProvenByProbe(request) ? 'probe' : 'none';
    return { restarts, readLog, kind, proof, reading: { at, healthy: kind === 'good', text, tookMs } };
  }
  return {
    probe,
    async read(watch, running, signal, deploy) {
      const { kind, reading } = await probe({ watch, running, signal, deploy });
      return kind === 'none' || kind === 'away' ? { ...reading, unanswered: true } : reading;
    },
  };
}

async function askOthers({ baseDir, secrets, env }: ProbeDependencies, request: ProbeRequest): Promise<ProbeAnswer[]> {
  const { signal, expected } = request;
  const answers = request.watch.probes.map(async (probe): Promise<ProbeAnswer[]> => {
    if (probe.kind === 'http') return [await askHttp(probe, { baseDir, secrets, signal, ...(expected && { expected }) })];
    if (probe.kind === 'tcp') return [await askTcp(probe, signal)];
    if (probe.kind === 'command') return [await askCommand(probe, { baseDir, env, signal })];
    return [];
  });
  return (await Promise.all(answers)).flat();
}

/** A failed probe makes the reading bad anyway, so it is enough that a probe compares the version. */
function isProvenByProbe({ watch, expected }: ProbeRequest): boolean {
  if (expected === undefined) return false;
  return watch.probes.some(
    (probe) =>
      probe.kind === 'http' && probe.version !== undefined && expectedVersion(probe.version.equals, expected) !== undefined,
  );
}

interface ContainerAnswers extends Pick<ProbeResult, 'restarts' | 'readLog'> {
  readonly answers: readonly ProbeAnswer[];
  readonly isProof: boolean;
}

function askPodsOf({ clusters, deploys }: ProbeDependencies, request: ProbeRequest): Promise<ContainerAnswers>[] {
  const { watch, deploy, running, expected, restarts, signal } = request;
  const where = deploy && deploys.find(({ kind }) => kind === deploy.kind)?.podsOf?.(deploy.settings);
  if (where === undefined || running.length === 0) return [];
  const probe = watch.probes.find((each) => each.kind === 'kubernetes');
  return [askPods(clusters, { where, running, digests: expected?.digests, allowedRestarts: probe?.restarts, restarts, signal })];
}

function askControllers({ clusters }: ProbeDependencies, request: ProbeRequest): Promise<ContainerAnswers>[] {
  const { watch, expected, isOurs, restarts, signal } = request;
  return watch.probes.flatMap((probe) =>
    probe.kind === 'argocd' || probe.kind === 'flux'
      ? [askController(clusters, probe, { expected, isOurs, restarts, signal })]
      : [],
  );
}

function allOf(contained: readonly ContainerAnswers[]): ContainerAnswers {
  const restarts = contained.flatMap((each) => (each.restarts === undefined ? [] : [Object.entries(each.restarts)]));
  return {
    answers: contained.flatMap(({ answers }) => answers),
    isProof: contained.some(({ isProof }) => isProof),
    restarts: restarts.length === 0 ? undefined : Object.fromEntries(restarts.flat()),
    readLog: contained.find(({ readLog }) => readLog !== undefined)?.readLog,
  };
}

async function askContainers({ docker, deploys }: ProbeDependencies, request: ProbeRequest): Promise<ContainerAnswers> {
  const { watch, expected, signal } = request;
  const nothing: ContainersSnapshot = { containers: [], missing: [] };
  const probes = watch.probes.filter((probe) => probe.kind === 'docker');
  const containerOf = containersOf(deploys, request.deploy);
  // A deploy without containers names the running image after something else, such as an environment at GitHub.
  const deployed = request.deploy === undefined || containerOf !== undefined ? request.running.map(({ name }) => name) : [];
  if (probes.length === 0 && deployed.length === 0) return { answers: [], restarts: request.restarts, isProof: false };
  // If something else deploys, the containers that a probe names prove the digest; beside our own deploy they may be unrelated.
  const isProof = expected !== undefined && (deployed.length > 0 || probes.some(({ containers }) => containers !== undefined));
  try {
    const ours =
      probes.length > 0 || expected !== undefined ? await findContainers(docker, deployed, containerOf, signal) : nothing;
    const named = await Promise.all(
      probes.map(({ containers }) => (containers === undefined ? ours : findNamed(docker, containers, containerOf, signal))),
    );
    const proving = deployed.length > 0 ? [ours] : named.filter((_, index) => probes[index]?.containers !== undefined);
    const all = [ours, ...named].flatMap(({ containers }) => containers);
    const restarts = countRestarts(request.restarts, all);
    const judged = probes.flatMap((probe, index) => judgeContainers(named[index] ?? nothing, restarts, probe.restarts));
    const proven = isProof ? proving.flatMap((seen) => proveDigest(seen, expected.digests)) : [];
    const [sick] = sickFirst(all);
    const readLog = sick === undefined ? undefined : () => readContainerLog(docker, sick);
    return { answers: [...judged, ...proven], restarts, isProof, readLog };
  } catch (error) {
    if (!(error instanceof DaemonAway)) throw error;
    return { answers: [{ kind: 'away', text: error.message }], restarts: request.restarts, isProof };
  }
}

function sickFirst(containers: ContainersSnapshot['containers']): string[] {
  const isSick = ({ state }: (typeof containers)[number]) => !state.Running || (state.Health?.Status ?? 'healthy') !== 'healthy';
  return [...new Set([...containers].sort((a, b) => Number(isSick(b)) - Number(isSick(a))).map(({ id }) => id))];
}

/** Whether all of them run, are `healthy` if they have a HEALTHCHECK, and were not restarted more often than allowed. */
function judgeContainers(snapshot: ContainersSnapshot, restarts: Restarts, allowed: number): ProbeAnswer[] {
  if (snapshot.containers.length + snapshot.missing.length === 0)
    return [{ kind: 'bad', text: 'docker: there is no container to look at' }];
  return [...missing(snapshot), ...snapshot.containers.map((each) => judgeOne(each, restarts[each.id]?.since ?? 0, allowed))];
}

function judgeOne(container: ContainerSnapshot, restarts: number, allowed: number): ProbeAnswer {
  const name = `docker ${container.name}`;
  if (restarts > allowed)
    return { kind: 'bad', text: `${name} was restarted ${restarts} times, borne are ${allowed}${exit(container)}` };
  const stopped = notRunning(container);
  if (stopped !== undefined) return stopped;
  const health = healthOf(container.state);
  if (health === undefined) return { kind: 'good', text: `${name} runs` };
  // Docker decides later, one way or the other.
  if (health === 'starting') return { kind: 'none', text: `${name} is starting` };
  if (health === 'healthy') return { kind: 'good', text: `${name} is healthy` };
  const said = container.state.Health?.Log?.at(-1)?.Output.replace(/\s+/g, ' ').trim().slice(0, 120);
  return { kind: 'bad', text: `${name} is ${health}${said ? ` (${said})` : ''}` };
}

/** The proof that each was made from an image that the registry knows by one of these digests: the expected one, and its platforms'. */
function proveDigest(snapshot: ContainersSnapshot, digests: readonly Digest[]): ProbeAnswer[] {
  const wanted = short(digests[0] ?? '');
  const proven = snapshot.containers.map((container): ProbeAnswer => {
    const isIt = digests.some((digest) => container.digests.includes(digest));
    if (isIt) return notRunning(container) ?? { kind: 'good', text: `docker ${container.name} runs ${wanted}` };
    const found = container.digests.map(short).join(', ') || 'an image that no registry knows';
    return {
      kind: 'bad',
      text: `docker ${container.name} is not what was deployed: it has ${found}, expected ${wanted}; somebody replaced it, or it was never replaced`,
    };
  });
  return [...missing(snapshot), ...proven];
}

function missing(snapshot: ContainersSnapshot): ProbeAnswer[] {
  return snapshot.missing.map(({ name, why = 'there is no such container' }) => ({
    kind: 'bad',
    text: `docker ${name}: ${why}`,
  }));
}

function notRunning(container: ContainerSnapshot): ProbeAnswer | undefined {
  const { state, name, comesBack } = container;
  if (state.Running && !state.Restarting && !state.Paused) return undefined;
  // A crashing container is `restarting`. One that stays down despite its restart policy was stopped by a person, or together with its
  // daemon, which is shutting down: no reading, until it is back or time is up.
  if (state.Status === 'exited' && comesBack)
    return { kind: 'away', text: `docker ${name} is stopped${exit(container)}, and its restart policy brings it back` };
  return { kind: 'bad', text: `docker ${name} is ${state.Status}${exit(container)}` };
}

function exit({ state }: ContainerSnapshot): string {
  if (state.OOMKilled) return ' (out of memory)';
  return state.Running && !state.Restarting ? '' : ` (exit code ${state.ExitCode})`;
}

function short(digest: string): string {
  return digest.slice(0, 'sha256:'.length + 12);
}
