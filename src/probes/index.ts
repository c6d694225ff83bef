import type Docker from 'dockerode';
import type { DeployKind } from '../deploys/deploy.ts';
import type { Environment } from '../domain/environment.ts';
import type { Digest } from '../domain/image-reference.ts';
import type { Reading, RunningImage, Watched } from '../domain/outcomes.ts';
import type { DeployPlan, ProbePlan, WatchPlan } from '../domain/plan.ts';
import type { Observation } from '../domain/watch.ts';
import { countRestarts, type Restarts } from '../domain/watch-restarts.ts';
import { type ExpectedImage, expectedVersion } from '../domain/watch-version.ts';
import { type ProbeAnswer, together } from './answer.ts';
import { askCommand } from './command.ts';
import { type ContainersSnapshot, containersOf, DaemonAway, findContainers, findNamed } from './containers.ts';
import { judgeContainers, proveDigest } from './docker.ts';
import { askHttp } from './http.ts';
import { askTcp } from './tcp.ts';

/** Checks what a stage runs. */
export interface Probes {
  /**
   * All probes of a watch once, side by side: healthy where each of them is. What fails says so in `text`. Never throws but for the
   * signal, and `SecretMissing`.
   * @param deploy of the stage: its kind knows what `running` names
   * @returns `unanswered` if nobody could answer, or it is not decided yet: says nothing against what runs
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
  readonly expected?: (ExpectedImage & { readonly digests: readonly Digest[] }) | undefined;
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
  /** Ids of the containers, unhealthy ones first. */
  readonly containers: readonly string[];
}

export interface ProbeDependencies {
  readonly docker: Docker;
  /** By their kinds, to find the containers that they bring. */
  readonly deploys: readonly DeployKind[];
  /** What `ca` of a probe is relative to, and where commands start: the folder of the configuration file. */
  readonly baseDir: string;
  readonly secrets: (value: string) => string;
  /** Landfall's own, of which commands get what any program needs. */
  readonly env: Environment;
  readonly now?: () => Date;
}

export function createProbes(dependencies: ProbeDependencies): Probes {
  const now = dependencies.now ?? (() => new Date());
  async function probe(request: ProbeRequest): Promise<ProbeResult> {
    const begun = now();
    const startedAt = performance.now();
    const found = await ask(dependencies, request);
    const { kind, text } = together([...found.answers, ...(request.also ?? [])]);
    const tookMs = Math.round(performance.now() - startedAt);
    const reading = { at: begun.toISOString(), healthy: kind === 'good', text, tookMs };
    return { kind, reading, restarts: found.restarts, proof: found.proof, containers: found.containers };
  }
  return {
    probe,
    async read(watch, running, signal, deploy) {
      const { kind, reading } = await probe({ watch, running, signal, deploy });
      return kind === 'none' || kind === 'away' ? { ...reading, unanswered: true } : reading;
    },
  };
}

type CombinedAnswers = Omit<ProbeResult, 'kind' | 'reading'> & { readonly answers: readonly ProbeAnswer[] };

async function ask(dependencies: ProbeDependencies, request: ProbeRequest): Promise<CombinedAnswers> {
  const [asked, contained] = await Promise.all([askOthers(dependencies, request), askContainers(dependencies, request)]);
  const answers = [...asked, ...contained.answers];
  return { ...contained, answers, proof: contained.isProof ? 'container' : isProvenByProbe(request) ? 'probe' : 'none' };
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

interface ContainerAnswers {
  readonly answers: readonly ProbeAnswer[];
  readonly restarts: Restarts | undefined;
  readonly isProof: boolean;
  readonly containers: readonly string[];
}

async function askContainers({ docker, deploys }: ProbeDependencies, request: ProbeRequest): Promise<ContainerAnswers> {
  const { watch, expected, signal } = request;
  const nothing: ContainersSnapshot = { containers: [], missing: [] };
  const probes = watch.probes.filter((probe): probe is Extract<ProbePlan, { kind: 'docker' }> => probe.kind === 'docker');
  const containerOf = containersOf(deploys, request.deploy);
  // A deploy without containers names the running image after something else, such as an environment at GitHub.
  const deployed = request.deploy === undefined || containerOf !== undefined ? request.running.map(({ name }) => name) : [];
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
    return { answers: [...judged, ...proven], restarts, isProof, containers: sickFirst(all) };
  } catch (error) {
    if (!(error instanceof DaemonAway)) throw error;
    return { answers: [{ kind: 'away', text: error.message }], restarts: request.restarts, isProof, containers: [] };
  }
}

function sickFirst(containers: ContainersSnapshot['containers']): string[] {
  const isSick = ({ state }: (typeof containers)[number]) => !state.Running || (state.Health?.Status ?? 'healthy') !== 'healthy';
  return [...new Set([...containers].sort((a, b) => Number(isSick(b)) - Number(isSick(a))).map(({ id }) => id))];
}
