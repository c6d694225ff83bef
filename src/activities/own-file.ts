import { isDeepStrictEqual } from 'node:util';
import { isPlanned } from '../builds/read-target.ts';
import type { BuildHostActivities, PlatformInput } from '../contracts/activities/builds.ts';
import type { HostActivities, RollbackInput, StageStepInput } from '../contracts/activities/delivery.ts';
import type { BuildPlan } from '../domain/build.ts';
import { Refusal } from '../domain/failures.ts';
import type { DeployPlan, StagePlan } from '../domain/plan.ts';
import { answering } from './boundary.ts';

/** What this machine's own configuration says of a stage now; undefined: it does not know it. */
export type OwnStage = (input: StageStepInput) => StagePlan | undefined;

/**
 * The activities of a machine that only deploys. It does what its own file says of a stage, whoever asks: a process elsewhere that was taken
 * over, and has Landfall's key, chooses neither the folder, nor the container, nor a command that runs here. A rollback is of an earlier plan,
 * and has to go on although the file has other probes, or another time-out, by now: it is done by those.
 */
export function asOwnFileSays(host: string, activities: HostActivities, ownStage: OwnStage): HostActivities {
  const refuse = (problem: string): never => {
    throw new Refusal(
      'DeployRefused',
      `host ${host} does what its own landfall.yaml says, and ${problem}: bring the file of the host up to date, which is read again by itself, ` +
        'then retry; if the rollout is what is out of date, abort it and trigger the image anew',
    );
  };
  const refuseOthers = (input: StageStepInput, others: readonly string[]): void => {
    if (others.length > 0) refuse(`that has for ${nameIn(input)} another ${others.join(', another ')}`);
  };
  /** Both deploys, of the same kind on this host. */
  const deploysOf = (input: StageStepInput, own: StagePlan | undefined) => {
    const asked = input.stage.deploy;
    if (own?.deploy === undefined) return refuse(`that has no deploy for ${nameIn(input)}`);
    if (own.deploy.host !== host) return refuse(`that has ${nameIn(input)} deployed elsewhere`);
    if (asked?.kind !== own.deploy.kind) return refuse(`that has ${nameIn(input)} deployed by ${own.deploy.kind}`);
    return { asked, ofFile: own.deploy };
  };
  const checked = answering(async (input: StageStepInput) => {
    const own = ownStage(input);
    const { asked, ofFile } = deploysOf(input, own);
    const areSame = sameJson(input.stage.watch?.probes ?? [], own?.watch?.probes ?? []);
    refuseOthers(input, [...otherSettings(asked, ofFile), ...(areSame ? [] : ['probes of watch'])]);
  });
  const onceChecked = onlyAfter(checked);
  const byOwnFile = answering(async (input: RollbackInput) => {
    const { asked, ofFile } = deploysOf(input, ownStage(input));
    refuseOthers(
      input,
      otherSettings(asked, ofFile).filter((key) => key !== `${asked.kind}.timeoutMs`),
    );
    const deploy = { ...asked, settings: ofFile.settings };
    return await activities.rollBackStage({ ...input, stage: { ...input.stage, deploy } });
  });
  return {
    snapshotStage: onceChecked(activities.snapshotStage),
    deployStage: onceChecked(activities.deployStage),
    rollBackStage: byOwnFile,
    discardPrevious: onceChecked(activities.discardPrevious),
    watchStage: onceChecked(activities.watchStage),
  };
}

/** What this machine's own configuration says of a build now. */
export type OwnBuild = (name: string) => BuildPlan | undefined;

/**
 * The same of builds: from which repository, with which secrets and builder, for which platforms, and where it is pushed to, is for the file of this
 * machine to say. Which commit it is, is for whoever asks.
 */
export function asOwnFileBuilds(host: string, activities: BuildHostActivities, ownBuild: OwnBuild): BuildHostActivities {
  const checked = answering(async (input: PlatformInput) => {
    const { name } = input.subject.plan;
    const problem = buildProblemOf(input, host, ownBuild(name));
    if (problem === undefined) return undefined;
    throw new Refusal(
      'BuildRefused',
      `host ${host} builds what its own landfall.yaml says, and that has ${problem} ${name}: bring the file of the host up to date, which is read again ` +
        'by itself, then abort this build and start it again',
    );
  });
  const onceChecked = onlyAfter(checked);
  return {
    buildPlatform: onceChecked(activities.buildPlatform),
    checkBuilt: onceChecked(activities.checkBuilt),
    pushPlatform: onceChecked(activities.pushPlatform),
    discardBuild: activities.discardBuild,
  };
}

/** What does a thing only once it has been checked what it is asked. */
function onlyAfter<Checked>(check: (input: Checked) => Promise<unknown>) {
  return <Input extends Checked, Outcome>(act: (input: Input) => Promise<Outcome>) =>
    async (input: Input) => {
      await check(input);
      return await act(input);
    };
}

/** As a part of a sentence. Values stay out of it: it is about the file, where they can be read. */
function nameIn({ plan, image, stage }: StageStepInput): string {
  return `stage ${stage.name} of ${plan.service} (${image.repository})`;
}

/** The same of a build. */
function buildProblemOf({ subject, target, part }: PlatformInput, host: string, own: BuildPlan | undefined): string | undefined {
  if (own === undefined) return 'no build named';
  const withoutNotices = ({ notify: _told, ...plan }: BuildPlan) => plan;
  if (!sameJson(withoutNotices(subject.plan), withoutNotices(own))) return 'another build named';
  if ((part.host ?? 'default') !== host || !own.parts.some((each) => sameJson(each, part))) return 'another host or platform for';
  return isPlanned(own, target) ? undefined : 'another folder or image for';
}

function otherSettings({ kind, settings: asked }: DeployPlan, { settings: own }: DeployPlan): string[] {
  const keys = new Set([...Object.keys(asked), ...Object.keys(own)]);
  return [...keys].filter((key) => !sameJson(valueAt(asked, key), valueAt(own, key))).map((key) => `${kind}.${key}`);
}

function valueAt(settings: object, key: string): unknown {
  return Object.entries(settings).find(([name]) => name === key)?.[1];
}

/** One of the two went through Temporal, the other comes from a file. */
function sameJson(one: unknown, other: unknown): boolean {
  const plain = (value: unknown): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));
  return isDeepStrictEqual(plain(one), plain(other));
}
