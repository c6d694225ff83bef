import { randomBytes } from 'node:crypto';
import { access } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Refusal } from '../../domain/failures.ts';
import type { Checked } from '../../domain/outcomes.ts';
import { type ComposeProject, NotIsolated } from '../../platform/compose/file.ts';
import { runCompose } from '../../platform/compose/find-compose.ts';
import { type MountRules, refuseForeignMounts } from '../../platform/compose/privileges.ts';
import { type DisposableProject, throwAwayProject, withCalmHealthcheck, withDiskLimit } from '../../platform/compose/project.ts';
import {
  containersOf,
  execTest,
  logOf,
  ServiceFailed,
  takeImages,
  waitForTest,
  waitUntilReady,
} from '../../platform/compose/services.ts';
import { findImage } from '../../platform/docker/container.ts';
import { readEnvironment } from '../../platform/docker/environment.ts';
import { explainUnreachable } from '../../platform/docker/errors.ts';
import { sharedImages } from '../../platform/docker/images.ts';
import { isEarlier, projectPrefix } from '../../platform/docker/labels.ts';
import { limitsDisk, usualLimits } from '../../platform/docker/limits.ts';
import { createMask, lastLines, type TextMask } from '../../platform/docker/log-lines.ts';
import { findLabelled, remove, removeContainer } from '../../platform/docker/remove.ts';
import { requireScanned } from '../../platform/docker/scanned.ts';
import { type Check, type CheckContext, CheckRefused, type DockerCheck, labelsFor, pullMs, referenceOf } from '../check.ts';
import { wayOutHint } from '../way-out.ts';
import type { IntegrationPlan } from './plan.ts';

type IntegrationCheck = DockerCheck<IntegrationPlan>;

/** Reading a file and taking a project down take seconds, unless Docker is in trouble. */
const composeWithinMs = 60_000;
const deadlineGraceMs = 3 * 60_000;

interface Project {
  readonly name: string;
  /** The compose file as JSON, for Compose to read again. */
  readonly file: string;
  readonly folder: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly test: string | undefined;
  readonly mask: TextMask;
}

export function createIntegrationCheck(context: CheckContext): Check<IntegrationPlan> {
  const images = sharedImages(context.docker);
  return { check: (work) => checkIntegration({ ...context, ...work, images }) };
}

/**
 * Runs the candidate with the services that it needs in a compose project of its own, and the test against it.
 * @throws Refusal `IntegrationFailed`, `FileNotFound`, `PlatformMissing`, `CredentialsRefused` or `SecretMissing`; RateLimit; an ordinary
 *   error where Docker or the registry is broken; the signal's reason once it is aborted
 */
async function checkIntegration(check: IntegrationCheck): Promise<Checked> {
  const { settings: integration, baseDir } = check;
  await removeEarlier(check);
  const { variables, secrets } = await readEnvironment(integration, baseDir, check.secrets);
  const mask = createMask(secrets);
  const name = `${projectPrefix}${randomBytes(8).toString('hex')}`;
  const path = resolve(baseDir, integration.compose);
  const read = await readComposeFile(check, path, name, variables, mask);

  const candidate = referenceOf(check.image);
  // Images are pulled before the time of the test begins, but the labels are made before that.
  const labels = labelsFor(check, name, integration.timeoutMs + pullMs + deadlineGraceMs);
  const rules = { folder: dirname(path), forbidden: [check.data, check.artifacts.folder] };
  const isolated = await isolate(read, { name, image: candidate, labels, integration, variables }, rules);
  const { test } = isolated;
  await takeImages(check, candidate, isolated.project);
  await requireScanned(check.docker, check.plan, check.image);
  const project = await fitted(check, isolated.project, name, labels);
  check.signal.throwIfAborted();
  const running = { name, file: JSON.stringify(project), folder: dirname(path), variables, test, mask };
  check.later(`remove the compose project ${name}`, () => takeDown(check, running));
  return await testWithin(check, running);
}

/** What only the image and the host can tell of the candidate's box. */
async function fitted(
  { docker, settings: integration, image, later }: IntegrationCheck,
  project: ComposeProject,
  name: string,
  labels: Record<string, string>,
): Promise<ComposeProject> {
  const Image = referenceOf(image);
  const { Config } = await docker.getImage(Image).inspect();
  const calm = withCalmHealthcheck(project, integration.candidate, Config?.Healthcheck);
  const trial = { name: `${name}-trial`, Image, Labels: labels };
  later(`remove container ${trial.name}`, () => removeContainer(docker, trial.name));
  const isLimited = await limitsDisk(docker, trial, usualLimits.diskBytes);
  return isLimited ? withDiskLimit(calm, integration.candidate) : calm;
}

/** What earlier attempts of this check left: they cannot be at work any more. */
async function removeEarlier({ docker, run, ownershipKey }: IntegrationCheck): Promise<void> {
  try {
    for (const left of (await findLabelled(docker, ownershipKey, run.rollout)).ours) {
      if (left.name.startsWith(projectPrefix) && isEarlier(left.owner, run)) await remove(docker, left);
    }
  } catch (error) {
    throw explainUnreachable(error);
  }
}

/** The file as Compose understands it: variables filled in, `extends` and `include` followed, with what the services depend on. */
async function readComposeFile(
  { settings: integration, env, signal, baseDir }: IntegrationCheck,
  path: string,
  name: string,
  variables: Readonly<Record<string, string>>,
  mask: TextMask,
): Promise<ComposeProject> {
  try {
    await access(path);
  } catch (error) {
    const message = `expected the compose file ${integration.compose} of the integration check in ${baseDir} on the worker, found none: put it there, or correct integration.compose`;
    throw new Refusal('FileNotFound', message, [], { cause: error });
  }
  const words = ['-p', name, '-f', path, 'config', '--format', 'json', ...servicesOf(integration)];
  const end = await runCompose({
    arguments: words,
    directory: dirname(path),
    env,
    variables,
    timeoutMs: composeWithinMs,
    signal,
  });
  if (end.code === 0) return JSON.parse(end.stdout) as ComposeProject;
  throw new CheckRefused(
    'IntegrationFailed',
    `expected ${integration.compose} to be a compose file with ${servicesOf(integration).join(', ')}, but Compose says: ${lastWords(end.output, mask)}`,
    [],
  );
}

/** Whatever has to run; what they depend on comes along. */
function servicesOf({ candidate, services, test }: IntegrationPlan): string[] {
  return [...new Set([candidate, ...services, ...(test.kind === 'exec' ? [test.service] : [])])];
}

async function isolate(
  file: ComposeProject,
  run: DisposableProject,
  rules: MountRules,
): Promise<ReturnType<typeof throwAwayProject>> {
  try {
    await refuseForeignMounts(file, rules);
    return throwAwayProject(file, run);
  } catch (error) {
    if (error instanceof NotIsolated) throw new CheckRefused('IntegrationFailed', error.message, [], { cause: error });
    throw error;
  }
}

async function testWithin(check: IntegrationCheck, project: Project): Promise<Checked> {
  const { docker, settings: integration } = check;
  const { mask } = project;
  const startedAt = performance.now();
  const limit = AbortSignal.timeout(integration.timeoutMs);
  const signal = AbortSignal.any([check.signal, limit]);
  let said = Buffer.alloc(0);
  const readTest = async () =>
    lastLines(project.test === undefined ? said : await logOf(docker, project.name, project.test), mask);
  const refuse = async (what: string, exitCode?: number) => {
    const candidateLog = lastLines(await logOf(docker, project.name, integration.candidate), mask);
    const text = exitCode === undefined ? 'the test did not end' : `exit code ${exitCode}`;
    const log = await readTest();
    const hint = wayOutHint(integration.network, `${log}\n${candidateLog}`, 'integration');
    return new CheckRefused('IntegrationFailed', mask(`${what}${hint}`), [
      { title: 'Integration check', passed: false, text, log },
      { title: 'Candidate', passed: false, text: 'the log of the image', log: candidateLog },
    ]);
  };
  try {
    await start(check, project, servicesOf(integration), [], signal);
    await waitUntilReady(docker, project.name, servicesOf(integration), integration.candidate, signal);
    const exitCode = await runTest(check, project, (output) => (said = Buffer.from(output)), signal);
    if (exitCode !== 0)
      throw await refuse(
        `expected the integration test to exit with 0, but it exited with ${exitCode}: its log says why`,
        exitCode,
      );
    const where = integration.network === 'full' ? ', with the whole network' : '';
    const text = `passed after ${((performance.now() - startedAt) / 1000).toFixed(1)} s${where}`;
    return { kind: 'checked', text, evidence: [{ title: 'Integration check', passed: true, text, log: await readTest() }] };
  } catch (error) {
    check.signal.throwIfAborted();
    if (error instanceof ServiceFailed)
      throw await refuse(`expected all services to be ready for the integration test, but ${error.message}`);
    if (!limit.aborted || error instanceof Refusal) throw error;
    throw await refuse(
      `expected the integration test to end within ${integration.timeoutMs / 1000} s, but it did not: see what holds it up, or raise integration.timeout`,
    );
  }
}

async function runTest(
  check: IntegrationCheck,
  project: Project,
  said: (output: Buffer) => void,
  signal: AbortSignal,
): Promise<number> {
  const { docker } = check;
  const { test } = check.settings;
  const service = test.kind === 'exec' ? test.service : (project.test ?? '');
  if (test.kind === 'image') await start(check, project, [service], ['--no-deps'], signal);
  const [id] = await containersOf(docker, project.name, service);
  if (id === undefined)
    throw new Error(`Compose started service ${service}, but Docker has no container of it: it is tried again`);
  return test.kind === 'exec'
    ? await execTest(docker, id, test.command, project.variables, said, signal)
    : await waitForTest(docker, id, signal);
}

async function start(
  check: IntegrationCheck,
  project: Project,
  services: readonly string[],
  options: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const end = await compose(check, project, ['up', '--detach', '--quiet-pull', ...options, ...services], { signal });
  if (end.code === 0) return;
  // A daemon that is away is no answer about the image.
  await check.docker.ping().catch((error: unknown) => {
    throw explainUnreachable(error);
  });
  if ((await findImage(check.docker, referenceOf(check.image))) === undefined)
    throw new Error(`somebody removed ${referenceOf(check.image)} before it was started; it is pulled again`);
  throw new ServiceFailed(`service ${services.join(', ')} could not be started: ${lastWords(end.output, project.mask)}`);
}

function compose(
  { env }: IntegrationCheck,
  { name, file, folder, variables }: Project,
  words: readonly string[],
  more: { readonly signal?: AbortSignal; readonly timeoutMs?: number },
): ReturnType<typeof runCompose> {
  const where = ['-p', name, '--project-directory', folder, '-f', '-'];
  return runCompose({ arguments: [...where, ...words], directory: folder, env, variables, input: file, ...more });
}

/** By Compose, and then whatever carries our labels still: also what was being created while it was cut off. */
async function takeDown(check: IntegrationCheck, project: Project): Promise<void> {
  const { docker, run } = check;
  const words = ['down', '--volumes', '--remove-orphans', '--timeout', '0', '--rmi', 'local'];
  const end = await compose(check, project, words, { timeoutMs: composeWithinMs }).catch((error: unknown) => error);
  const { ours } = await findLabelled(docker, check.ownershipKey, run.rollout);
  const left = ours.filter(({ name }) => name.startsWith(project.name));
  for (const each of left) await remove(docker, each);
  if (end instanceof Error) throw end;
}

/** On one line. */
function lastWords(output: string, mask: TextMask): string {
  const lines = mask(output)
    .split('\n')
    .map((line) => line.trim());
  return lines
    .filter((line) => line !== '')
    .slice(-3)
    .join(' / ')
    .slice(-500);
}
