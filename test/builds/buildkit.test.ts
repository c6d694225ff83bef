import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBuildKit } from '../../src/builds/builders/buildkit/builder.ts';
import { blobOf, imageIn, partsOf, statementsOf } from '../../src/builds/layout.ts';
import { emulatedIn } from '../../src/builds/provenance.ts';
import { Refusal } from '../../src/domain/failures.ts';
import { findProcesses } from '../../src/platform/processes/identity.ts';
import { type BuildKit, startBuildKit } from '../support/buildkit.ts';
import { pushIndex } from '../support/images.ts';
import { type Registry, startRegistry } from '../support/registry.ts';
import { eventually } from '../support/wait.ts';

const epochSeconds = 1_700_000_000;

/** By a real daemon, and its client. */
describe('builds by BuildKit', function () {
  this.timeout(150_000);
  let folder: string;
  let registry: Registry;
  let buildkit: BuildKit;
  let base: string;
  let made = 0;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-buildkit-test-'));
    [registry, buildkit] = await Promise.all([startRegistry(), startBuildKit()]);
    const images = ['linux/amd64', 'linux/arm64'].map((platform) => ({ busybox: true, platform }));
    const { digest } = await pushIndex(registry, 'base/busybox', '1', images);
    base = `${registry.host}/base/busybox@${digest}`;
    await writeFile(join(folder, 'key'), 'hush');
  });
  after(async () => {
    await Promise.all([registry?.stop(), buildkit?.stop()]);
    await rm(folder, { recursive: true, force: true });
  });

  const { signal } = new AbortController();
  const builder = () => createBuildKit({ env: buildkit.env, baseDir: folder });

  /** @returns where the image is */
  async function build(
    platform: string,
    lines: readonly string[],
    { address = buildkit.address, timeoutMs = 60_000 } = {},
  ): Promise<string> {
    made += 1;
    const root = join(folder, `source-${made}`);
    const layout = join(folder, `layout-${made}`);
    await mkdir(join(root, 'web'), { recursive: true });
    await writeFile(join(root, 'web', 'Dockerfile.web'), `${lines.join('\n')}\n`);
    await writeFile(join(root, 'web', 'main.sh'), 'echo hello');
    const project = {
      ...{ context: 'web', dockerfile: 'web/Dockerfile.web', target: 'final', facts: {} },
      arguments: { GREETING: 'good day = hello' },
      secrets: { key: 'env:KEY' },
      labels: { team: 'web, and others' },
    };
    const secretFiles = { key: join(folder, 'key') };
    await builder().build({
      settings: { address },
      project,
      root,
      platform,
      layout,
      secretFiles,
      epochSeconds,
      timeoutMs,
      signal,
    });
    return layout;
  }

  async function configOf(layout: string) {
    const [, config] = (await partsOf(layout, (await imageIn(layout)).image)).toReversed();
    assert.ok(config);
    return JSON.parse(await readFile(blobOf(layout, config.digest), 'utf8')) as {
      readonly architecture: string;
      readonly created: string;
      readonly config: { readonly Labels: object; readonly Env: readonly string[] };
    };
  }

  const crossBuilt = () => [
    `FROM --platform=$BUILDPLATFORM ${base} AS made`,
    'ARG GREETING',
    'RUN --mount=type=secret,id=key test "$(cat /run/secrets/key)" = h""ush && test "$GREETING" = "good day = hello"',
    'RUN echo "$GREETING" > /greeting',
    `FROM ${base} AS final`,
    'COPY --from=made /greeting /greeting',
    'COPY main.sh /main.sh',
    `FROM ${base} AS another`,
    'RUN exit 1',
  ];

  it('an image with arguments, secrets and labels, cross-built too, whose provenance tells that nothing was emulated', async () => {
    const native = await builder().native({ address: buildkit.address }, signal);
    assert.equal(native[0], process.arch === 'arm64' ? 'linux/arm64' : 'linux/amd64');
    for (const architecture of ['amd64', 'arm64']) {
      const layout = await build(`linux/${architecture}`, crossBuilt());
      const { config, ...found } = await configOf(layout);
      assert.equal(found.architecture, architecture);
      assert.equal(found.created, new Date(epochSeconds * 1_000).toISOString().replace('.000', ''));
      assert.deepEqual(config.Labels, { team: 'web, and others' });
      const statements = await statementsOf(layout, await imageIn(layout));
      assert.deepEqual(emulatedIn(statements, native), []);
      assert.doesNotMatch(JSON.stringify([config, statements]), /hush/);
    }
  });

  it('an image that was made by emulation, and its provenance tells by what', async () => {
    const native = await builder().native({ address: buildkit.address }, signal);
    const other = native[0] === 'linux/arm64' ? 'linux/amd64' : 'linux/arm64';
    // The busybox of both is that of this machine, so that it runs without an emulator.
    const layout = await build(other, [`FROM ${base} AS final`, 'RUN echo made > /made']);
    const statements = await statementsOf(layout, await imageIn(layout));
    assert.deepEqual(emulatedIn(statements, native), ['/bin/sh -c echo made > /made']);
  });

  it('nothing where a program fails, and says what it said last', async () => {
    const failing = build('linux/amd64', [`FROM ${base} AS final`, 'RUN echo it lacks a file: connection refused >&2; exit 3']);
    await assert.rejects(failing, (error: unknown) => {
      assert.ok(error instanceof Refusal && error.type === 'BuildFailed', `${error}`);
      assert.match(error.message, /expected the image to be built, but: .*exit code: 3/);
      assert.match(JSON.stringify(error.details), /it lacks a file/);
      return true;
    });
  });

  it('nothing where the daemon or the base image is away, which is tried again', async () => {
    const nobody = `unix://${join(folder, 'nobody')}`;
    await assert.rejects(
      builder().native({ address: nobody }, signal),
      isBroken(/BuildKit at unix:.* does not answer: .*nobody/s),
    );
    await assert.rejects(build('linux/amd64', crossBuilt(), { address: nobody }), isBroken(/the build broke off: .*nobody/));
    const away = ['FROM 127.0.0.1:1/team/base AS final'];
    await assert.rejects(build('linux/amd64', away), isBroken(/the build broke off: .*connection refused/));
  });

  const sleeping = (seconds: number) => [`FROM ${base} AS final`, `RUN sleep ${seconds}`];
  const isAsleep = async (seconds: number) => (await findProcesses(`sleep ${seconds}`)).length > 0;

  it('nothing that takes too long, and the program of it ends, too', async () => {
    await assert.rejects(build('linux/amd64', sleeping(4217), { timeoutMs: 3_000 }), {
      name: 'BuildFailed',
      message: /^expected the build to end within 3 s/,
    });
    await eventually('it to end', async () => !(await isAsleep(4217)));
  });

  it('nothing where its client is killed, which is tried again', async () => {
    const broken = assert.rejects(
      build('linux/amd64', sleeping(4218)),
      isBroken(/the build broke off: .*buildctl was ended by SIGKILL/),
    );
    await eventually('it to run', () => isAsleep(4218));
    for (const { pid } of await findProcesses(`dest=${join(folder, `layout-${made}`)}`)) process.kill(pid, 'SIGKILL');
    await broken;
  });

  function isBroken(says: RegExp) {
    return (error: unknown): boolean => {
      assert.ok(error instanceof Error && !(error instanceof Refusal), `${error}`);
      assert.match(error.message, says);
      return true;
    };
  }
});
