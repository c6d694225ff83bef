import { createHash } from 'node:crypto';
import { Context } from '@temporalio/activity';
import type {
  BuildActivities,
  BuildHostActivities,
  CheckBuiltInput,
  HandOverInput,
  PlatformInput,
} from '../contracts/activities/builds.ts';
import type { BuildSearch } from '../contracts/messages.ts';
import type { BuildSubject } from '../domain/build.ts';
import { bounded } from '../domain/evidence.ts';
import { withCleanUp } from '../platform/docker/clean-up.ts';
import type { Descriptor } from '../platform/registry/manifest.ts';
import { answering, currentRun, leaveWhenCancelled, orCancelled } from './boundary.ts';
import type { Dependencies } from './dependencies.ts';
import { handOver } from './hand-over.ts';
import { startBuilds } from './start-builds.ts';

type BuildDependencies = Pick<Dependencies, 'builds' | 'client' | 'registry' | 'plansFor' | 'buildPlanOf'>;

/** What builds ask for that any worker can do: of the sources, the registry and Temporal. */
export function createBuildActivities(dependencies: BuildDependencies): BuildActivities {
  const { builds, registry } = dependencies;
  return {
    startBuilds: answering((search: BuildSearch) => startBuilds(search, dependencies)),

    readTarget: answering(async (subject: BuildSubject) => ({
      kind: 'read' as const,
      target: await leaveWhenCancelled(() => builds.readTarget(subject)),
    })),

    askRegistry: answering(async ({ target }) => {
      const digest = await leaveWhenCancelled(() => registry.resolve(target.image, target.tag));
      return { kind: 'asked' as const, ...(digest !== undefined && { digest }) };
    }),

    publishBuild: answering(async ({ subject: { plan, options }, target, entries }) => {
      // What an index says of an image went through Temporal as plain JSON.
      const uploaded = entries as readonly { readonly image: Descriptor }[];
      return { kind: 'pushed' as const, ...(await builds.publish({ source: plan.source, target, options, entries: uploaded })) };
    }),

    handOver: answering((input: HandOverInput) => handOver(input, dependencies)) as BuildActivities['handOver'],
  };
}

/** What is done where a platform is built. */
export function createBuildHostActivities({ builds, checks }: Pick<Dependencies, 'builds' | 'checks'>): BuildHostActivities {
  const workOf = ({ subject, target, part }: PlatformInput) => ({ key: keyOfRun(), plan: subject.plan, target, part });
  return {
    buildPlatform: answering(async (input: PlatformInput) => {
      const image = await orCancelled('the build', (signal) => builds.platforms.build({ ...workOf(input), signal }));
      return { kind: 'built' as const, image };
    }),

    checkBuilt: answering(async (input: CheckBuiltInput) => {
      const { subject, target, image, check: kind } = input;
      const settings = subject.plan.checks.find((planned) => planned.kind === kind)?.settings;
      const check = checks.get(kind);
      if (settings === undefined || check?.checkBuilt === undefined) throw new Error(`no build is checked by ${kind} here`);
      const { layout, ...files } = await builds.platforms.files(workOf(input));
      const { log } = Context.current();
      const work = { settings, image, repository: target.image, layout, files, run: currentRun() };
      const checked = await orCancelled(`the check ${kind}`, (signal) =>
        withCleanUp(
          (what, error) => log.warn(`could not ${what} after the check ${kind}; the sweep removes it`, { error }),
          async (later) => check.checkBuilt?.({ ...work, signal, later }),
        ),
      );
      return checked === undefined ? { kind: 'not-here' as const } : { ...checked, evidence: bounded(checked.evidence) };
    }),

    pushPlatform: answering(async (input: PlatformInput) => ({
      kind: 'uploaded' as const,
      ...(await leaveWhenCancelled(() => builds.platforms.push(workOf(input)))),
    })),

    discardBuild: () => builds.platforms.discard(keyOfRun()),
  };
}

/** One run of one build: what an earlier run has built is not pushed by this one. */
function keyOfRun(): string {
  const { rollout, run } = currentRun();
  return createHash('sha256').update(`${rollout} ${run}`).digest('hex').slice(0, 32);
}
