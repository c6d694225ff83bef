import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Configuration } from '../config/configuration.ts';
import { hostsToServe } from '../config/hosts.ts';
import { describeTags, planOf } from '../config/plans.ts';
import { concurrently } from '../domain/concurrently.ts';
import { type Diagnosed, type Diagnosis, diagnose, fine, warning } from '../domain/diagnosis.ts';
import type { Environment } from '../domain/environment.ts';
import { messageOf } from '../domain/errors.ts';
import { Refusal } from '../domain/failures.ts';
import { type Digest, registryOf, type Tag } from '../domain/image-reference.ts';
import type { Log } from '../domain/log.ts';
import { filesOf, type Plan, type StagePlan } from '../domain/plan.ts';
import { follows } from '../domain/tag-policy.ts';
import { explainUnreachable } from '../platform/docker/errors.ts';
import { unlessAbsent } from '../platform/files/durable-file.ts';
import { request, useProxies } from '../platform/http/client.ts';
import { createSecretResolver } from '../settings/secrets.ts';
import { createMask } from '../telemetry/mask.ts';
import { connectOutside } from './dependencies.ts';

export type Outside = Awaited<ReturnType<typeof connectOutside>>;

/** One thing to ask. */
interface OutsideQuestion {
  readonly what: string;
  readonly ask: (signal: AbortSignal) => Promise<Diagnosed>;
}

const answerWithinMs = 30_000;
const atOnce = 4;

/** Lends what a configuration names outside to some work that changes nothing there. */
export async function withOutside<Result>(
  configuration: Configuration,
  env: Environment,
  work: (outside: Outside, mask: (text: string) => string) => Promise<Result>,
): Promise<Result> {
  useProxies(env);
  const mask = createMask();
  const secrets = createSecretResolver(env, configuration.directory, mask.add);
  // A service beside us has clones of its own.
  const clones = await mkdtemp(join(tmpdir(), 'landfall-look-'));
  try {
    const place = { installation: 'none', ownershipKey: '', clones };
    return await work(await connectOutside({ configuration }, place, env, { log: silent, secrets }), mask);
  } finally {
    await rm(clones, { recursive: true, force: true });
  }
}

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, fatal() {} };

/** Lends the registry clients alone. */
export async function withRegistry<Result>(
  configuration: Configuration,
  env: Environment,
  work: (registry: Outside['registry']) => Promise<Result>,
): Promise<Result> {
  return await withOutside(configuration, env, ({ registry }) => work(registry));
}

/** Asks everything that the configuration names whether it is there and lets us do what we are to do. Changes nothing. */
export async function diagnoseOutside(configuration: Configuration, env: Environment): Promise<Diagnosis[]> {
  return await withOutside(configuration, env, async (outside, mask) => {
    const questions = [
      ...questionsOfRegistries(configuration, outside),
      ...questionsOfEngine(configuration, outside),
      ...questionsOfChecks(configuration, outside),
      ...questionsOfRepositories(configuration, outside),
      ...questionsOfDeploys(configuration, outside, env),
      ...questionsOfNotifiers(configuration, outside),
      ...questionsOfDisk(configuration),
    ];
    const found = await concurrently(questions, atOnce, ({ what, ask }) => diagnose(what, answerWithinMs, ask));
    return found.map((diagnosis) => ({ ...diagnosis, text: mask(diagnosis.text) }));
  });
}

/**
 * Says at the start what is not as it should be, while everything else goes on: none of it keeps Landfall from starting, and all of it would
 * be found by the first push.
 * @returns whether that is still under way
 */
export function warnOfOutside(configuration: Configuration, env: Environment, log: Pick<Log, 'warn'>): () => boolean {
  let isUnderWay = true;
  diagnoseOutside(configuration, env)
    .then((found) => {
      for (const { what, verdict, text } of found) if (verdict !== 'fine') log.warn({ what, verdict }, `${what}: ${text}`);
    })
    .catch((error: unknown) => log.warn({ error: messageOf(error) }, 'what is configured outside could not be asked'))
    .finally(() => {
      isUnderWay = false;
    });
  return () => isUnderWay;
}

/** Of services that name one repository: which others there are, a pattern does not tell. */
function plansOf(configuration: Configuration): Plan[] {
  return configuration.services.flatMap(({ name }) => planOf(configuration, name) ?? []);
}

function stagesOf(configuration: Configuration): { readonly plan: Plan; readonly stage: StagePlan }[] {
  return plansOf(configuration).flatMap((plan) => plan.stages.map((stage) => ({ plan, stage })));
}

/** Those that have the same key are asked once. */
function once(questions: readonly (OutsideQuestion & { readonly key?: string })[]): OutsideQuestion[] {
  return [...new Map(questions.map((question) => [question.key ?? question.what, question])).values()];
}

function questionsOfRegistries(configuration: Configuration, { registry, plainHttp }: Outside): OutsideQuestion[] {
  const plans = plansOf(configuration);
  const images = plans.map(({ repository, tags }) => ({
    what: `image ${repository} (${describeTags(tags)})`,
    async ask(): Promise<Diagnosed> {
      const [only, ...more] = tags.kind === 'exact' ? tags.tags : [];
      if (only !== undefined && more.length === 0) {
        const digest = await registry.resolve(repository, only);
        return digest === undefined ? warning(`the registry has no ${only} of it yet: push one`) : fine(digest);
      }
      const there = await registry.tags(repository);
      const followed = there.filter((tag) => follows(tags, tag));
      if (followed.length > 0) return fine(`${followed.length} of its ${there.length} tags are followed`);
      return warning(`none of its ${there.length} tags is followed: push one, or correct tags`);
    },
  }));
  const hosts = [...new Set(plans.map(({ repository }) => registryOf(repository)))];
  const clocks = hosts
    .slice(0, 1)
    .map((host) => ({ what: 'clock', ask: (signal: AbortSignal) => askTime(host, plainHttp(host), signal) }));
  return once([...images, ...clocks]);
}

/** Signatures, tokens and windows depend on it. */
const mostSkewMs = 30_000;

async function askTime(host: string, isPlain: boolean, signal: AbortSignal): Promise<Diagnosed> {
  const url = new URL(`${isPlain ? 'http' : 'https'}://${host}/v2/`);
  const { headers } = await request({ what: `registry ${host}`, method: 'GET', url, signal, timeoutMs: answerWithinMs });
  const said = Date.parse(headers.get('date') ?? '');
  if (Number.isNaN(said)) return fine(`${host} does not say what time it is`);
  const skewMs = Math.abs(Date.now() - said);
  const text = `${(skewMs / 1000).toFixed(0)} s from that of ${host}`;
  return skewMs <= mostSkewMs ? fine(text) : warning(`${text}: set it, best by NTP (timedatectl set-ntp true)`);
}

function questionsOfEngine(configuration: Configuration, { docker }: Outside): OutsideQuestion[] {
  const isNeeded = stagesOf(configuration).some(({ plan: { checks }, stage: { deploy } }) => {
    const kind = configuration.kinds.deploys.find((known) => known.kind === deploy?.kind);
    return checks.some(({ needsDocker }) => needsDocker) || kind?.containerOf !== undefined;
  });
  if (!isNeeded) return [];
  return [
    {
      what: 'Docker',
      async ask() {
        try {
          const { Version, Os, Arch } = await docker.version();
          return fine(`${Version}, ${Os}/${Arch}`);
        } catch (error) {
          throw explainUnreachable(error);
        }
      },
    },
  ];
}

function questionsOfChecks(configuration: Configuration, { checks }: Outside): OutsideQuestion[] {
  const used = plansOf(configuration).flatMap((plan) => plan.checks);
  return once(
    used.flatMap(({ kind, settings }) => {
      const check = checks.get(kind);
      if (check?.diagnose === undefined) return [];
      return [{ what: kind, ask: async (signal: AbortSignal) => (await check.diagnose?.(settings, signal)) ?? fine('') }];
    }),
  );
}

function questionsOfRepositories(configuration: Configuration, { forgeFor }: Outside): OutsideQuestion[] {
  const changes = stagesOf(configuration).flatMap(({ stage: { change } }) => change ?? []);
  return once(
    changes.map((change) => {
      const { repository, base } = change;
      const files = filesOf(change).map(({ file }) => file);
      return {
        key: `${repository} ${base} ${files.join(' ')}`,
        what: `${files.join(', ')} in ${repository}`,
        async ask(): Promise<Diagnosed> {
          const forge = forgeFor(repository);
          const head = await forge.head(repository, base);
          if (head === undefined)
            throw new Refusal('TargetNotFound', `expected the branch ${base}, found none: push it, or correct change.base`);
          const rights = await forge.diagnose?.(repository);
          for (const file of files) {
            if ((await forge.readFile(repository, head, file)) !== undefined) continue;
            throw new Refusal('FileNotFound', `expected ${file} on ${base}, found none: push it, or correct change.file`);
          }
          return rights ?? fine(`on ${base} (${head.slice(0, 12)})`);
        },
      };
    }),
  );
}

const noDigest = `sha256:${'0'.repeat(64)}` as Digest;

function questionsOfDeploys(configuration: Configuration, { deployers }: Outside, env: Environment): OutsideQuestion[] {
  const served = hostsToServe(configuration, env);
  return stagesOf(configuration).flatMap(({ plan, stage }): OutsideQuestion[] => {
    const { deploy } = stage;
    const deployer = deploy && deployers.get(deploy.kind);
    if (deploy === undefined || deployer === undefined) return [];
    const what = `${plan.service}, stage ${stage.name}`;
    const isElsewhere = deploy.host !== undefined && 'hosts' in served && !served.hosts.includes(deploy.host);
    if (isElsewhere) return [{ what, ask: async () => fine(`on the host ${deploy.host}: ask there`) }];
    // Nothing is known of an image yet.
    const [tag = 'latest' as Tag] = plan.tags.kind === 'exact' ? plan.tags.tags : [];
    const image = { repository: plan.repository, tag, digest: noDigest, mediaType: '', platforms: [], size: 0 };
    const target = { plan, stage, image, deploy: deploy.settings, rollout: 'none' };
    return [
      {
        what,
        async ask(signal) {
          if (deployer.diagnose !== undefined) return await deployer.diagnose(target, signal);
          const running = await deployer.running(target);
          return fine(running.length === 0 ? 'nothing runs there yet' : `${running.map(({ name }) => name).join(', ')} there`);
        },
      },
    ];
  });
}

function questionsOfNotifiers({ notify }: Configuration, { notifiers }: Outside): OutsideQuestion[] {
  return notify.flatMap(({ notifier: { kind, settings } }, index) => {
    const notifier = notifiers.get(kind);
    if (notifier?.diagnose === undefined) return [];
    const ask = async (signal: AbortSignal) => (await notifier.diagnose?.(settings, signal)) ?? fine('');
    return [{ what: `notify ${index + 1}, ${kind}`, ask }];
  });
}

const leastFreeBytes = 2 * 1024 ** 3;

function questionsOfDisk({ data, artifacts }: Configuration): OutsideQuestion[] {
  return Object.entries({ data, artifacts }).map(([key, folder]) => ({
    what: `disk of ${key}`,
    async ask() {
      const found = await statfs(folder).catch(unlessAbsent);
      if (found === undefined) return fine(`${folder} is made when Landfall starts`);
      const { bavail, bsize, blocks } = found;
      const text = `${((bavail * bsize) / 1024 ** 3).toFixed(1)} GiB free at ${folder}`;
      const isFull = bavail * bsize < leastFreeBytes || bavail < blocks / 50;
      return isFull ? warning(`${text}: make room, or let ${key} name another disk`) : fine(text);
    },
  }));
}
