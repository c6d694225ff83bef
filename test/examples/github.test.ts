import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { z } from 'zod';
import { loadConfiguration } from '../../src/config/load.ts';
import { product } from '../../src/product.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = join(root, 'examples/github');

const stepSchema = z.strictObject({
  id: z.string().optional(),
  if: z.string().optional(),
  'working-directory': z.string().optional(),
  uses: z.string().optional(),
  run: z.string().optional(),
  with: z.record(z.string(), z.union([z.string(), z.boolean()])).optional(),
  env: z.record(z.string(), z.string()).optional(),
});
const inputSchema = z.object({ description: z.string(), type: z.string(), required: z.boolean() });
const workflowSchema = z.object({
  name: z.string(),
  on: z.object({
    push: z.unknown().optional(),
    repository_dispatch: z.object({ types: z.array(z.string()) }).optional(),
    workflow_dispatch: z.object({ inputs: z.record(z.string(), inputSchema) }).optional(),
  }),
  permissions: z.record(z.string(), z.enum(['read', 'write'])),
  jobs: z.record(z.string(), z.object({ 'runs-on': z.string(), steps: z.array(stepSchema) })),
});
const actionSchema = z.object({
  inputs: z.record(z.string(), z.object({ required: z.boolean() })),
  outputs: z.record(z.string(), z.unknown()),
});

const workflows = readdirSync(folder).map((file) => {
  const text = readFileSync(join(folder, file), 'utf8');
  const workflow = workflowSchema.parse(parse(text));
  return { file, text, workflow, steps: Object.values(workflow.jobs).flatMap(({ steps }) => steps) };
});
const named = (file: string) => workflows.find((workflow) => workflow.file === file) ?? assert.fail(`no ${file}`);

describe('the configurations of examples', () => {
  for (const file of readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.yaml'))) {
    it(`${file} tells no repository of what is proposed there: a workflow could propose it again`, () => {
      const loaded = loadConfiguration(join(root, 'examples', file), {}, product, { secretsFor: [] });
      assert.ok('configuration' in loaded, JSON.stringify(loaded));
      for (const { change, dispatch } of loaded.configuration.services.flatMap(({ stages }) => stages))
        assert.ok(change === undefined || dispatch?.repository !== change.repository);
    });
  }
});

describe('the workflows of examples/github', () => {
  it('use each action', () => {
    const used = workflows.flatMap(({ steps }) => steps.map(({ uses }) => ownAction(uses)));
    for (const action of ['notify', 'dispatch_on_image_push_success']) assert.ok(used.includes(action), action);
  });

  for (const { file, text, workflow, steps } of workflows) {
    it(`${file} gives its actions what they ask for, and nothing else`, () => {
      for (const { id = '', uses, with: given = {} } of steps) {
        const name = ownAction(uses);
        if (name === undefined) continue;
        const { inputs, outputs } = actionSchema.parse(parse(readFileSync(join(root, 'actions', name, 'action.yml'), 'utf8')));
        assert.deepEqual(
          Object.keys(given).filter((key) => inputs[key] === undefined),
          [],
          'unknown inputs',
        );
        const needed = Object.entries(inputs).filter(([, { required }]) => required);
        assert.deepEqual(
          needed.filter(([key]) => given[key] === undefined),
          [],
          'missing inputs',
        );
        for (const [, output = ''] of text.matchAll(new RegExp(`steps\\.${id}\\.outputs\\.(\\w+)`, 'g')))
          assert.ok(outputs[output] !== undefined, `${id} has no output ${output}`);
        if (name === 'notify') assert.equal(workflow.permissions['id-token'], 'write');
      }
    });

    it(`${file} puts nothing that others wrote into a script`, () => {
      for (const { run = '' } of steps) assert.doesNotMatch(run, /\$\{\{/);
    });

    it(`${file} refers to steps that are there`, () => {
      const ids = steps.flatMap(({ id }) => id ?? []);
      for (const [, id = ''] of text.matchAll(/steps\.(\w+)\./g)) assert.ok(ids.includes(id), id);
    });
  }

  it('listen to the event that they send', () => {
    const dispatch = named('push-and-dispatch.yml').steps.find(
      ({ uses }) => ownAction(uses) === 'dispatch_on_image_push_success',
    );
    const { on } = named('on-image-pushed.yml').workflow;
    assert.deepEqual(on.repository_dispatch?.types, [dispatch?.with?.repository_dispatch_event]);
  });
});

describe('what a workflow runs', () => {
  it('helm-upgrade.yml: an upgrade to the image of the commit', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'landfall-helm-'));
    try {
      await writeFile(join(folder, 'helm'), '#!/bin/sh\necho "$@"; cat "$RUNNER_TEMP/kubeconfig"\n', { mode: 0o755 });
      const { workflow, steps } = named('helm-upgrade.yml');
      assert.deepEqual(workflow.on.repository_dispatch?.types, ['QUAY_BUILD_SUCCESS']);
      const script = steps.find(({ run }) => run !== undefined)?.run ?? assert.fail('no script');
      const env = { PATH: `${folder}:${process.env.PATH}`, RUNNER_TEMP: folder, KUBECONFIG_TEXT: 'a: b' };
      const { stdout } = spawnSync('bash', ['-e', '-c', script], {
        env: { ...env, GITHUB_SHA: '42d4a62c53350993ea41069e9f2cfdefb0df097d' },
        encoding: 'utf8',
      });
      assert.match(stdout, /^upgrade app charts\/app --install --atomic .*--set-string image\.tag=42d4a62\na: b\n$/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('triggering by hand', () => {
  const { workflow, steps } = named('trigger-by-hand.yml');
  let outputs: string;
  before(async () => {
    outputs = await mkdtemp(join(tmpdir(), 'landfall-outputs-'));
  });
  after(() => rm(outputs, { recursive: true, force: true }));

  it('asks for service and image', () => {
    const inputs = workflow.on.workflow_dispatch?.inputs ?? {};
    assert.deepEqual(Object.keys(inputs), ['service', 'image']);
    assert.deepEqual(
      Object.values(inputs).map(({ required }) => required),
      [true, false],
    );
  });

  let runs = 0;
  async function split(image: string) {
    const script = steps.find(({ id }) => id === 'image')?.run ?? assert.fail('no script');
    const file = join(outputs, String(++runs));
    const env = { PATH: process.env.PATH, SERVICE: 'web', IMAGE: image, OWNER: 'team', GITHUB_OUTPUT: file };
    // As the runner does: https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell
    const { status } = spawnSync('bash', ['-e', '-c', script], { env });
    return { status, said: existsSync(file) ? await readFile(file, 'utf8') : '' };
  }
  for (const [image, expected] of [
    ['', 'name=ghcr.io/team/web\ntag=latest\n'],
    ['ghcr.io/team/app:v1', 'name=ghcr.io/team/app\ntag=v1\n'],
    ['localhost:5001/team/app:v1', 'name=localhost:5001/team/app\ntag=v1\n'],
    [`ghcr.io/team/app:v1@sha256:${'a'.repeat(64)}`, 'name=ghcr.io/team/app\ntag=v1\n'],
    ['ghcr.io/team/app', 'name=ghcr.io/team/app\ntag=latest\n'],
    ['localhost:5001/team/app', 'name=localhost:5001/team/app\ntag=latest\n'],
    ['$(touch x)', 'name=$(touch x)\ntag=latest\n'],
  ] as const) {
    it(`tells '${image}' as image and tag`, async () => assert.deepEqual(await split(image), { status: 0, said: expected }));
  }

  it('begins anew, whatever the last verdict was', () => {
    assert.equal(steps.find(({ id }) => id === 'landfall')?.with?.again, true);
  });
});

describe('updating images in a job', () => {
  const { steps } = named('auto-update-images.yml');
  const script = steps.find(({ id }) => id === 'landfall')?.run ?? assert.fail('no script');
  const digest = `sha256:${'a'.repeat(64)}`;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-job-'));
    await mkdir(join(folder, 'scripts'));
    await writeFile(join(folder, 'scripts/node.sh'), '');
    await writeFile(join(folder, 'node'), '#!/bin/sh\nfor word; do printf "<%s>" "$word"; done\necho\n', { mode: 0o755 });
  });
  after(() => rm(folder, { recursive: true, force: true }));

  for (const [what, given, words] of [
    ['an event', { IMAGE: 'ghcr.io/team/web', TAG: 'v1', DIGEST: digest }, `<ghcr.io/team/web:v1@${digest}><--if-followed>`],
    [
      'an event with a URL and no digest',
      { IMAGE: 'https://localhost:5001/web', TAG: 'v1' },
      '<localhost:5001/web:v1><--if-followed>',
    ],
    ['an image with its tag', { IMAGE: 'ghcr.io/team/web:v1', SERVICE: 'web' }, '<ghcr.io/team/web:v1><--service><web>'],
    ['an image by hand', { IMAGE: 'ghcr.io/team/web', SERVICE: 'web' }, '<ghcr.io/team/web><--service><web>'],
    ['what would be a command', { IMAGE: '$(touch x) y', SERVICE: 'web' }, '<$(touch x) y><--service><web>'],
  ] as const) {
    it(`brings the tools, and runs ${what}`, () => {
      const env = { SERVICE: '', TAG: '', DIGEST: '', ...given, PATH: `${folder}:${process.env.PATH}` };
      const { stdout } = spawnSync('bash', ['-e', '-c', script], { cwd: folder, env, encoding: 'utf8' });
      assert.equal(stdout, `<scripts/setup.mjs><run>\n<bin/landfall.mjs><run>${words}\n`);
    });
  }
});

/** The folder of an action of ours; undefined for those of others. */
function ownAction(uses: string | undefined): string | undefined {
  return /^your-team\/landfall\/actions\/(\w+)@/.exec(uses ?? '')?.[1];
}
