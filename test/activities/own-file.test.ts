import assert from 'node:assert/strict';
import { asOwnFileBuilds, asOwnFileSays } from '../../src/activities/own-file.ts';
import { buildPlanOf } from '../../src/config/build-plans.ts';
import { plansOfRepository, stageOf } from '../../src/config/plans.ts';
import type { BuildHostActivities, PlatformInput } from '../../src/contracts/activities/builds.ts';
import type { HostActivities, StageStepInput } from '../../src/contracts/activities/delivery.ts';
import type { BuildPlan } from '../../src/domain/build.ts';
import { parseRepository } from '../../src/domain/image-reference.ts';
import type { DeployPlan, StagePlan, WatchPlan } from '../../src/domain/plan.ts';
import { load } from '../config/support.ts';
import { failureOf, runActivity } from '../support/activity.ts';
import { imageOf, verifiedOf } from '../support/plans.ts';

const own = load(`
services:
  - image: ghcr.io/team/web
    deploy: { on: web-1, compose: { directory: /srv/web, services: [web] } }
    watch: { http: { url: "http://127.0.0.1:8080/health" }, command: [/usr/bin/test, -e, /run/web] }
  - { image: ghcr.io/team/db, deploy: { on: web-2, docker: { container: db } } }
  - { name: "*", image: "ghcr.io/tools/*", deploy: { on: web-1, docker: { container: "{service}" } } }
`);

const types = ['snapshotStage', 'deployStage', 'rollBackStage', 'discardPrevious', 'watchStage'] as const;

describe('a host that only deploys', () => {
  let done: string[];
  beforeEach(() => {
    done = [];
  });

  const act = async (): Promise<never> => {
    done.push('done');
    throw new Error('the work itself');
  };
  const worked = Object.fromEntries(types.map((type) => [type, act])) as unknown as HostActivities;
  const host = asOwnFileSays('web-1', worked, ({ image, plan, stage }) => stageOf(own, image, plan.service, stage.name));

  function inputOf(repository: string, change: (stage: StagePlan) => StagePlan = (stage) => stage): StageStepInput {
    const [plan] = plansOfRepository(own, parseRepository(repository));
    assert.ok(plan?.stages[0]);
    const stage: StagePlan = JSON.parse(JSON.stringify(change(plan.stages[0])));
    return { plan: { ...plan, stages: [stage] }, stage, image: verifiedOf(imageOf(plan, 'new')) };
  }

  /** What each of the activities says to it. */
  async function saidTo(input: StageStepInput, asked: readonly (typeof types)[number][] = types): Promise<string> {
    const said = new Set<string>();
    for (const type of asked) {
      const activity = host[type] as (input: StageStepInput) => Promise<unknown>;
      const failure = await failureOf(runActivity(activity, input));
      said.add(`${failure.type}: ${failure.message}`);
      assert.equal(failure.nonRetryable, true);
    }
    assert.deepEqual(done, [], 'something was done');
    assert.equal(said.size, 1, [...said].join('\n'));
    return [...said].join();
  }

  for (const repository of ['ghcr.io/team/web', 'ghcr.io/tools/cron'])
    it(`does what its file says of ${repository}`, async () => {
      for (const type of types) {
        const activity = host[type] as (input: StageStepInput) => Promise<unknown>;
        await assert.rejects(runActivity(activity, inputOf(repository)), /the work itself/);
      }
      assert.equal(done.length, types.length);
    });

  const withDeploy = (more: Partial<DeployPlan>) => (stage: StagePlan) =>
    stage.deploy === undefined ? stage : { ...stage, deploy: { ...stage.deploy, ...more } };
  const withSettings = (settings: object) => (stage: StagePlan) =>
    withDeploy({ settings: { ...stage.deploy?.settings, ...settings } })(stage);
  const withProbes =
    (...probes: WatchPlan['probes']) =>
    (stage: StagePlan) =>
      stage.watch === undefined ? stage : { ...stage, watch: { ...stage.watch, probes } };
  const command = { kind: 'command', command: ['/bin/sh', '-c', 'id > /tmp/taken'], timeoutMs: 1_000 } as const;
  const refused: readonly [string, StageStepInput, RegExp][] = [
    ['another folder', inputOf('ghcr.io/team/web', withSettings({ directory: '/root' })), /another compose\.directory:/],
    [
      'a setting that its file does not have',
      inputOf('ghcr.io/team/web', withSettings({ project: 'p' })),
      /another compose\.project:/,
    ],
    ['another container', inputOf('ghcr.io/tools/cron', withSettings({ containers: ['db'] })), /another docker\.containers:/],
    ['another kind of deploy', inputOf('ghcr.io/team/web', withDeploy({ kind: 'docker' })), /deployed by compose:/],
    ['a stage without a deploy', inputOf('ghcr.io/team/web', ({ deploy: _, ...stage }) => stage), /deployed by compose:/],
    ["another host's deploy", inputOf('ghcr.io/team/db'), /deployed elsewhere:/],
    [
      'a stage that it does not know',
      inputOf('ghcr.io/team/web', (stage) => ({ ...stage, name: 'canary' })),
      /no deploy for stage canary of web \(ghcr\.io\/team\/web\):/,
    ],
    [
      "another repository's image",
      (({ image, ...input }) => ({ ...input, image: { ...image, repository: parseRepository('ghcr.io/evil/web') } }))(
        inputOf('ghcr.io/team/web'),
      ),
      /no deploy for stage production of web \(ghcr\.io\/evil\/web\):/,
    ],
  ];
  const earlier: readonly [string, StageStepInput, RegExp][] = [
    ['another command', inputOf('ghcr.io/team/web', withProbes(command)), /another probes of watch:/],
    ['a stage that has no probes any more', inputOf('ghcr.io/team/web', withProbes()), /another probes of watch:/],
    ['another time-out', inputOf('ghcr.io/team/web', withSettings({ timeoutMs: 1 })), /another compose\.timeoutMs:/],
  ];
  for (const [what, input, pattern] of earlier)
    it(`refuses ${what} for all but a rollback, which it does by its own file`, async () => {
      const others = types.filter((type) => type !== 'rollBackStage');
      assert.match(await saidTo(input, others), pattern);
      const asked: StageStepInput[] = [];
      const rollBackStage = async (back: StageStepInput): Promise<never> => {
        asked.push(back);
        return await act();
      };
      const said = asOwnFileSays('web-1', { ...worked, rollBackStage }, ({ image, plan, stage }) =>
        stageOf(own, image, plan.service, stage.name),
      );
      await assert.rejects(runActivity(said.rollBackStage, { ...input, turn: 1, before: [] }), /the work itself/);
      assert.deepEqual(asked[0]?.stage.deploy?.settings, inputOf('ghcr.io/team/web').stage.deploy?.settings);
    });
  for (const [what, input, pattern] of refused)
    it(`refuses ${what}, and says what to do`, async () => {
      const said = await saidTo(input);
      assert.match(said, /^DeployRefused: host web-1 does what its own landfall\.yaml says, and that /);
      assert.match(said, pattern);
      assert.match(said, /which is read again by itself, then retry; .* abort it and trigger the image anew$/);
      assert.doesNotMatch(said, /taken|\/root/);
    });

  it('goes by the values, not by their order', async () => {
    const turned = inputOf('ghcr.io/team/web', (stage) => {
      const entries = Object.entries(stage.deploy?.settings ?? {}).reverse();
      return withDeploy({ settings: Object.fromEntries(entries) })(stage);
    });
    await assert.rejects(runActivity(host.deployStage, { ...turned, turn: 1 }), /the work itself/);
  });
});

describe('a host that only builds for others', () => {
  const ofBuilds = load(`
builds:
  - name: "*"
    source: { git: "https://git.example.org/team/app.git", path: services/* }
    image: ghcr.io/team/*
    platforms: [linux/amd64, { platform: linux/arm64, on: arm-1 }]
`);
  const act = () => Promise.reject(new Error('the work itself'));
  const worked = { buildPlatform: act, checkBuilt: act, pushPlatform: act, discardBuild: act } as unknown as BuildHostActivities;
  const host = asOwnFileBuilds('arm-1', worked, (name) => buildPlanOf(ofBuilds, name));

  const inputOf = (change: (plan: BuildPlan) => BuildPlan = (plan) => plan): PlatformInput => {
    const plan = buildPlanOf(ofBuilds, '*');
    assert.ok(plan);
    const commit = 'a'.repeat(40);
    const target = { name: 'web', folder: 'services/web', commit, image: parseRepository('ghcr.io/team/web'), tag: 'v1' };
    return JSON.parse(
      JSON.stringify({
        subject: { plan: change(plan), name: 'web', folder: 'services/web', commit, branch: 'main', options: {} },
        target: { ...target, movesLatest: false, facts: {} },
        part: plan.parts[1],
      }),
    );
  };
  const withTarget = (target: object): PlatformInput => {
    const input = inputOf();
    return { ...input, target: { ...input.target, ...target } };
  };
  const evil = parseRepository('ghcr.io/evil/web');

  it('builds and pushes what its file says, whoever is told of it', async () => {
    for (const type of ['buildPlatform', 'pushPlatform'] as const) {
      const activity = host[type] as (input: PlatformInput) => Promise<unknown>;
      await assert.rejects(
        runActivity(
          activity,
          inputOf((plan) => ({ ...plan, notify: [] })),
        ),
        /the work itself/,
      );
    }
  });

  for (const [what, input, pattern] of [
    [
      'another repository',
      inputOf((plan) => ({ ...plan, source: { ...plan.source, repository: '/root' } })),
      /another build named \*/,
    ],
    ['a build that it does not know', inputOf((plan) => ({ ...plan, name: 'web' })), /no build named web/],
    ['another image', withTarget({ image: evil }), /another folder or image for \*/],
    ['a folder of another image', withTarget({ folder: 'services/db' }), /another folder or image for \*/],
    ['another folder', withTarget({ folder: 'secret/web' }), /another folder or image for \*/],
    ['a folder within one', withTarget({ folder: 'services/db/web' }), /another folder or image for \*/],
    ['a folder that is none', withTarget({ folder: 'services/..' }), /another folder or image for \*/],
    ["another host's platform", { ...inputOf(), part: { platform: 'linux/amd64' } }, /another host or platform for \*/],
    ['a platform that is none', { ...inputOf(), part: { platform: '..', host: 'arm-1' } }, /another host or platform for \*/],
  ] as const)
    it(`refuses ${what}`, async () => {
      for (const type of ['buildPlatform', 'checkBuilt', 'pushPlatform'] as const) {
        const activity = host[type] as (input: PlatformInput) => Promise<unknown>;
        const failure = await failureOf(runActivity(activity, input));
        assert.equal(failure.type, 'BuildRefused');
        assert.match(failure.message, pattern);
        assert.match(
          failure.message,
          /^host arm-1 builds what its own landfall\.yaml says, .* abort this build and start it again$/,
        );
      }
    });
});
