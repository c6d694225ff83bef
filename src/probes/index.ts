import type Docker from 'dockerode';
import type { Digest } from '../domain/image-reference.ts';
import type { Reading, RunningImage, Watched } from '../domain/outcomes.ts';
import { type DeployPlan, isOnHost, type ProbePlan, type WatchPlan } from '../domain/plan.ts';
import type { Observation } from '../domain/watch.ts';
import { countRestarts, type Restarts } from '../domain/watch-restarts.ts';
import { type ExpectedImage, expectedVersion } from '../domain/watch-version.ts';
import { type Answer, together } from './answer.ts';
import { askCommand } from './command.ts';
import { DaemonAway, findContainers, findNamed, type Seen } from './containers.ts';
import { judgeContainers, proveDigest } from './docker.ts';
import { askHttp } from './http.ts';
import { askTcp } from './tcp.ts';

/** Looks at what a stage runs. */
export interface Probes {
  /**
   * All probes of a watch once, side by side: healthy where each of them is. What fails says so in `text`. Never throws but for the
   * signal, and `SecretMissing`.
   * @param deploy of the stage: says whether `running` names containers or services of a compose file
   * @returns `unanswered` where nobody could answer, or it is not decided yet: says nothing against what runs
   */
  read(
    watch: WatchPlan,
    running: readonly RunningImage[],
    signal: AbortSignal,
    deploy?: DeployPlan,
  ): Promise<Reading & { readonly unanswered?: true }>;

  /** The same for whoever goes on looking: with the proof of the digest, and restarts counted. */
  look(at: Look): Promise<Looked>;
}

export interface Look {
  readonly watch: WatchPlan;
  readonly deploy?: DeployPlan | undefined;
  readonly running: readonly RunningImage[];
  /** Absent: nothing has to be proven. */
  readonly expected?: (ExpectedImage & { readonly digests: readonly Digest[] }) | undefined;
  /** As the look before counted them; absent at the first. */
  readonly restarts?: Restarts | undefined;
  /** What others answered, to be judged with the rest. */
  readonly also?: readonly Answer[];
  readonly signal: AbortSignal;
}

export interface Looked {
  readonly kind: Observation['kind'];
  readonly reading: Reading;
  readonly restarts: Restarts | undefined;
  /** What proves the digest, where the reading is good. */
  readonly proof: Extract<Watched['proof'], 'container' | 'probe' | 'none'>;
  /** Ids of the containers that were seen, those first that are not well. */
  readonly containers: readonly string[];
}

export interface ProbeDependencies {
  readonly docker: Docker;
  /** What `ca` of a probe is relative to, and where commands start: the folder of the configuration file. */
  readonly baseDir: string;
  readonly secrets: (value: string) => string;
  /** Landfall's own, of which commands get what any program needs. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now?: () => Date;
}

export function createProbes(dependencies: ProbeDependencies): Probes {
  const now = dependencies.now ?? (() => new Date());
  async function look(at: Look): Promise<Looked> {
    const begun = now();
    const startedAt = performance.now();
    const found = await ask(dependencies, at);
    const { kind, text } = together([...found.answers, ...(at.also ?? [])]);
    const tookMs = Math.round(performance.now() - startedAt);
    const reading = { at: begun.toISOString(), healthy: kind === 'good', text, tookMs };
    return { kind, reading, restarts: found.restarts, proof: found.proof, containers: found.containers };
  }
  return {
    look,
    async read(watch, running, signal, deploy) {
      const { kind, reading } = await look({ watch, running, signal, deploy });
      return kind === 'none' || kind === 'away' ? { ...reading, unanswered: true } : reading;
    },
  };
}

type Found = Omit<Looked, 'kind' | 'reading'> & { readonly answers: readonly Answer[] };

async function ask(dependencies: ProbeDependencies, at: Look): Promise<Found> {
  const [asked, contained] = await Promise.all([askOthers(dependencies, at), askContainers(dependencies.docker, at)]);
  const answers = [...asked, ...contained.answers];
  return { ...contained, answers, proof: contained.isProof ? 'container' : isProvenByProbe(at) ? 'probe' : 'none' };
}

async function askOthers({ baseDir, secrets, env }: ProbeDependencies, at: Look): Promise<Answer[]> {
  const { signal, expected } = at;
  const answers = at.watch.probes.map(async (probe): Promise<Answer[]> => {
    if (probe.kind === 'http') return [await askHttp(probe, { baseDir, secrets, signal, ...(expected && { expected }) })];
    if (probe.kind === 'tcp') return [await askTcp(probe, signal)];
    if (probe.kind === 'command') return [await askCommand(probe, { baseDir, env, signal })];
    return [];
  });
  return (await Promise.all(answers)).flat();
}

/** One that failed is no proof of anything, so only what is compared matters. */
function isProvenByProbe({ watch, expected }: Look): boolean {
  if (expected === undefined) return false;
  return watch.probes.some(
    (probe) =>
      probe.kind === 'http' && probe.version !== undefined && expectedVersion(probe.version.equals, expected) !== undefined,
  );
}

interface Contained {
  readonly answers: readonly Answer[];
  readonly restarts: Restarts | undefined;
  readonly isProof: boolean;
  readonly containers: readonly string[];
}

async function askContainers(docker: Docker, at: Look): Promise<Contained> {
  const { watch, expected, signal } = at;
  const nothing: Seen = { containers: [], missing: [] };
  const probes = watch.probes.filter((probe): probe is Extract<ProbePlan, { kind: 'docker' }> => probe.kind === 'docker');
  // Where GitHub deploys, what runs has the name of an environment.
  const deployed = at.deploy === undefined || isOnHost(at.deploy) ? at.running.map(({ name }) => name) : [];
  // Where something else deploys, the containers that a probe names are the proof; beside our own deploy they are any neighbours.
  const isProof = expected !== undefined && (deployed.length > 0 || probes.some(({ containers }) => containers !== undefined));
  try {
    const ours =
      probes.length > 0 || expected !== undefined ? await findContainers(docker, deployed, at.deploy, signal) : nothing;
    const named = await Promise.all(
      probes.map(({ containers }) => (containers === undefined ? ours : findNamed(docker, containers, at.deploy, signal))),
    );
    const proving = deployed.length > 0 ? [ours] : named.filter((_, index) => probes[index]?.containers !== undefined);
    const all = [ours, ...named].flatMap(({ containers }) => containers);
    const restarts = countRestarts(at.restarts, all);
    const judged = probes.flatMap((probe, index) => judgeContainers(named[index] ?? nothing, restarts, probe.restarts));
    const proven = isProof ? proving.flatMap((seen) => proveDigest(seen, expected.digests)) : [];
    return { answers: [...judged, ...proven], restarts, isProof, containers: sickFirst(all) };
  } catch (error) {
    if (!(error instanceof DaemonAway)) throw error;
    return { answers: [{ kind: 'away', text: error.message }], restarts: at.restarts, isProof, containers: [] };
  }
}

function sickFirst(containers: Seen['containers']): string[] {
  const isSick = ({ state }: (typeof containers)[number]) => !state.Running || (state.Health?.Status ?? 'healthy') !== 'healthy';
  return [...new Set([...containers].sort((a, b) => Number(isSick(b)) - Number(isSick(a))).map(({ id }) => id))];
}
