import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { readInputs } from '../../actions/connector-image-build-push/src/inputs.ts';
import { isStale } from '../../scripts/build-actions.mjs';
import { readConnector } from '../../src/builds/projects/airbyte-connector/connector.ts';
import { planPush, planTag } from '../../src/domain/build.ts';
import { actionFolder, runAction, toldOfFaker } from '../support/action-step.ts';
import { ensureDocker } from '../support/docker.ts';
import { buildxProgram } from '../support/docker-buildx.ts';
import { pushIndex } from '../support/images.ts';
import { type Registry, startRegistry } from '../support/registry.ts';

const action = actionFolder('connector-image-build-push');

type Given = Readonly<Record<string, string>>;
const read = (given: Given) => readInputs((name) => ({ 'connector-name': 'source-faker', ...given })[name] ?? '');
const options = (given: Given) => read(given).options;

/** A checkout shaped like Airbyte's. */
async function connectorsRepository(root: string, base: string): Promise<void> {
  const metadata = (language: string, version: string, more = `connectorBuildOptions: { baseImage: "${base}" }`) =>
    `data:\n  dockerImageTag: ${version}\n  tags: [cdk:python, language:${language}]\n  ${more}\n`;
  const spec = 'echo starting; echo \'{"type":"SPEC","spec":{}}\'';
  const connectors: Record<string, readonly [metadata: string, script?: string]> = {
    'source-faker': [metadata('python', '6.2.1'), spec],
    'source-yaml': [metadata('manifest-only', '0.3.0-rc.1'), spec],
    'source-broken': [metadata('python', '1.0.0'), 'echo it has no spec; exit 1'],
    'source-mute': [metadata('python', '1.0.0'), 'echo hello'],
    'source-java': [metadata('java', '1.0.0')],
    'source-baseless': [metadata('python', '1.0.0', 'connectorBuildOptions: {}')],
    'source-versionless': [`data:\n  tags: [language:python]\n  connectorBuildOptions: { baseImage: "${base}" }\n`],
    'source-nothing': ['data: ['],
  };
  const files: Record<string, string> = {
    'docker-images/Dockerfile.python-connector': dockerfile,
    'docker-images/Dockerfile.manifest-only-connector': dockerfile,
    'airbyte-integrations/connectors/source-empty/main.sh': spec,
  };
  for (const [name, [text, script = spec]] of Object.entries(connectors)) {
    files[`airbyte-integrations/connectors/${name}/metadata.yaml`] = text;
    files[`airbyte-integrations/connectors/${name}/main.sh`] = script;
  }
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
}

const dockerfile = `ARG BASE_IMAGE
FROM \${BASE_IMAGE}
ARG CONNECTOR_NAME
LABEL connector=\${CONNECTOR_NAME}
COPY main.sh /airbyte/main.sh
ENTRYPOINT ["/bin/sh", "/airbyte/main.sh"]
`;

describe('the action connector-image-build-push', function () {
  this.timeout(180_000);
  let root: string;
  let home: string;
  let registry: Registry;
  let base: string;

  before(async () => {
    const docker = await ensureDocker();
    const { DriverStatus = [] } = await docker.info();
    if (!JSON.stringify(DriverStatus).includes('io.containerd.snapshotter'))
      throw new Error("these tests need an engine with containerd's image store: run them with npm test -- --engine 29");
    registry = await startRegistry();
    root = await mkdtemp(join(tmpdir(), 'landfall-connectors-'));
    home = await mkdtemp(join(tmpdir(), 'landfall-docker-home-'));
    await mkdir(join(home, 'cli-plugins'));
    await symlink(buildxProgram(), join(home, 'cli-plugins', 'docker-buildx'));
    const images = ['linux/amd64', 'linux/arm64'].map((platform) => ({ busybox: true, platform }));
    const { digest } = await pushIndex(registry, 'airbyte/python-connector-base', '4.0.0', images);
    base = `${registry.host}/airbyte/python-connector-base:4.0.0@${digest}`;
    await connectorsRepository(root, base);
  });
  after(async () => {
    await registry?.stop();
    for (const folder of [root, home]) if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  async function step(given: Given) {
    const { DOCKER_HOST } = process.env;
    return await runAction('connector-image-build-push', {
      cwd: root,
      inputs: { registry: `${registry.host}/airbyte`, ...given },
      env: {
        ...(DOCKER_HOST && { DOCKER_HOST }),
        DOCKER_CONFIG: home,
        GITHUB_SHA: '0123456789abcdef0123456789abcdef01234567',
      },
    });
  }

  async function manifest(name: string, reference: string) {
    const accept = 'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json';
    const answer = await fetch(`${registry.url}/v2/airbyte/${name}/manifests/${reference}`, { headers: { accept } });
    return {
      status: answer.status,
      digest: answer.headers.get('docker-content-digest'),
      body: (await answer.json()) as { manifests?: { platform: { os: string; architecture: string } }[] },
    };
  }

  it('builds for both architectures, tests and pushes what is not there, and gives the outputs of the original', async () => {
    const { exitCode, outputs, printed } = await step({
      'connector-name': 'source-faker',
      'dry-run': 'false',
      'push-latest': 'true',
    });
    assert.equal(exitCode, 0, printed);
    const image = `${registry.host}/airbyte/source-faker`;
    const { digest, body } = await manifest('source-faker', '6.2.1');
    assert.deepEqual(outputs, toldOfFaker({ image, base, digest }));
    const { outputs: declared } = parse(await readFile(join(action, 'action.yml'), 'utf8'));
    assert.deepEqual(Object.keys(outputs).sort(), Object.keys(declared).sort());
    const platforms = (body.manifests ?? []).map(({ platform }) => `${platform.os}/${platform.architecture}`);
    assert.deepEqual(platforms.filter((platform) => !platform.includes('unknown')).sort(), ['linux/amd64', 'linux/arm64']);
    // The provenance of each.
    assert.equal(platforms.filter((platform) => platform.includes('unknown')).length, 2);
    assert.equal((await manifest('source-faker', 'latest')).digest, digest);

    const again = await step({ 'connector-name': 'source-faker', 'dry-run': 'false' });
    assert.equal(again.exitCode, 0, again.printed);
    const { 'image-exists': exists, 'build-executed': built, 'push-executed': pushed } = again.outputs;
    assert.deepEqual([exists, built, pushed], ['true', 'false', 'false']);
  });

  it('pushes nothing in a dry run, which is the default, and nothing that fails its test', async () => {
    const dry = await step({ 'connector-name': 'source-yaml' });
    assert.equal(dry.exitCode, 0, dry.printed);
    assert.deepEqual(
      [dry.outputs['build-executed'], dry.outputs['push-executed'], dry.outputs['connector-type']],
      ['true', 'false', 'manifest-only'],
    );
    for (const [name, says] of [
      ['source-broken', /expected 'spec' of the image to exit with 0, found 1: it has no spec/],
      ['source-mute', /to print a line of JSON of the type SPEC, found: hello/],
    ] as const) {
      const { exitCode, outputs, printed } = await step({ 'connector-name': name, 'dry-run': 'false' });
      assert.equal(exitCode, 1);
      assert.match(printed, says);
      assert.deepEqual([outputs['build-executed'], outputs['push-executed']], ['false', 'false']);
      assert.equal((await manifest(name, '1.0.0')).status, 404);
    }
    assert.equal((await manifest('source-yaml', '0.3.0-rc.1')).status, 404);
  });

  it('decides as the original does: every row of its table', () => {
    const rows = [true, false].flatMap((exists) =>
      [true, false].flatMap((dryRun) => [true, false].map((force) => ({ exists, dryRun, force }))),
    );
    const decided = rows
      .filter(({ dryRun, force }) => !(dryRun && force))
      .map(({ exists, dryRun, force }) => {
        const { builds, pushes } = planPush(exists, options({ 'dry-run': String(dryRun), 'force-publish': String(force) }));
        return [exists, dryRun, force, builds, pushes];
      });
    assert.deepEqual(decided, [
      [true, true, false, true, false],
      [true, false, true, true, true],
      [true, false, false, false, false],
      [false, true, false, true, false],
      [false, false, true, true, true],
      [false, false, false, true, true],
    ]);
    for (const [given, version, tag, movesLatest] of [
      [{}, '1.2.3', '1.2.3', false],
      [{ 'tag-override': 'v9' }, '1.2.3', 'v9', false],
      [{ 'push-latest': 'true' }, '1.2.3', '1.2.3', true],
      [{ 'push-latest': 'true', 'release-type': 'pre-release' }, '1.2.3', '1.2.3-dev.0123456789', true],
      [{ 'release-type': 'pre-release' }, '1.2.3', '1.2.3-dev.0123456789', false],
      [{ 'release-type': 'main-release' }, '1.2.3', '1.2.3', true],
      [{ 'release-type': 'main-release' }, '1.2.3-rc.1', '1.2.3-rc.1', false],
    ] as const) {
      const facts = { version, commit: '0123456789abcdef', branch: '' };
      assert.deepEqual(planTag({ tag: '{version}', latest: 'never' }, options(given), facts), { tag, movesLatest });
    }
  });

  it('refuses what it cannot build, and inputs that do not go together, and says what was expected', async () => {
    for (const [name, says] of [
      [
        'source-none',
        /^expected the folder airbyte-integrations\/connectors\/source-none, found none: check the name of the connector/,
      ],
      ['source-empty', /^expected airbyte-integrations\/connectors\/source-empty\/metadata.yaml, found none/],
      ['source-java', /^expected the tag language:python or language:manifest-only in \S+, found language:java/],
      ['source-baseless', /^expected data\.connectorBuildOptions\.baseImage in \S+ to be an image such as/],
      ['source-versionless', /^expected data\.dockerImageTag in \S+ to be a version such as 1\.2\.3, found nothing/],
      ['source-nothing', /^expected \S+ to be YAML, found /],
    ] as const)
      await assert.rejects(readConnector(root, `airbyte-integrations/connectors/${name}`), { message: says });
    assert.deepEqual(
      [read({}).options, read({}).repository, read({}).landfall],
      [{ dryRun: true, force: false }, 'docker.io/airbyte/source-faker', undefined],
    );
    for (const [given, says] of [
      [{ 'connector-name': '../x' }, /^connector-name: expected the name of a connector/],
      [{ registry: 'airbyte' }, /^registry: expected a registry and its namespace/],
      [{ 'dry-run': 'no' }, /^dry-run: expected true or false/],
      [{ 'force-publish': 'true' }, /^force-publish: expected dry-run: false beside it/],
      [{ 'tag-override': 'a b' }, /^tag-override: expected a tag/],
      [{ 'tag-override': 'v1', 'release-type': 'main-release' }, /^tag-override: expected no release-type beside it/],
      [{ 'landfall-url': 'landfall' }, /^landfall-url: expected the URL of Landfall/],
      [{ 'landfall-url': 'http://landfall.example.org' }, /^landfall-url: .*everybody on the way can read the job's token/],
      [{ 'landfall-url': 'https://l.example', 'timeout-seconds': '0' }, /^timeout-seconds: expected a number/],
      [{ 'landfall-url': 'https://l.example', build: '*' }, /^build: expected the name of one build/],
      [{ 'docker-hub-username': 'me' }, /^docker-hub-password: expected it beside the other one/],
    ] as const)
      assert.throws(() => read(given), { message: says });
    assert.deepEqual(read({ 'landfall-url': 'https://l.example/' }).landfall, {
      ...{ url: 'https://l.example', audience: 'https://l.example', build: 'source-faker', timeoutMs: 7_200_000 },
    });
  });

  it('is bundled from its sources as they are', async () => {
    assert.equal(await isStale(action), false);
  });
});
