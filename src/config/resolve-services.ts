import { resolve } from 'node:path';
import { isGitHubRepository } from '../domain/github-repository.ts';
import type { Tag } from '../domain/image-reference.ts';
import type { ChangeTarget, DispatchPlan, ScanPlan, SmokePlan, StagePlan } from '../domain/plan.ts';
import type { ServiceSettings, StageSettings } from './configuration.ts';
import { lastSegment } from './image-pattern.ts';
import { mergeSettings } from './merge.ts';
import type { Complaint, Path } from './problem.ts';
import { shortenedName } from './service-name.ts';
import type { ServiceInput, Settings, StageInput } from './service-schema.ts';
import { showValue } from './wording.ts';

/** What services of one file share. */
export interface ServiceContext {
  readonly defaults: Settings;
  /** Whether `forge.github` is configured. */
  readonly hasGitHub: boolean;
  /** Absolute folder of the file. */
  readonly directory: string;
}

const day = 86_400_000;
const latest = 'latest' as Tag;
const onlyStage: StageInput = { name: 'production' };

/** A service with its defaults, and what is wrong with it: complaints have paths from the service on. */
export function resolveService(
  input: ServiceInput,
  context: ServiceContext,
): { service: ServiceSettings; complaints: Complaint[] } {
  const complaints: Complaint[] = [];
  const complain: Complain = (path, message) => void complaints.push({ path, message });
  const { image, name, stages: _own, ...own } = input;
  const { stages: _shared, ...shared } = context.defaults;
  const settings = mergeSettings(shared, own);
  const stages = input.stages ?? context.defaults.stages ?? [onlyStage];
  const service: ServiceSettings = {
    image,
    name: serviceName(input, complain),
    tags: settings.tags ?? { kind: 'exact', tags: [latest] },
    platforms: settings.platforms ?? [],
    ...(settings.scan === 'off' ? {} : { scan: scanPlan(settings.scan ?? {}) }),
    ...(settings.smoke === 'off' ? {} : { smoke: smokePlan(settings.smoke ?? {}, complain) }),
    stages: stages.map((stage, index) =>
      resolveStage(stage, settings, context, (path, message) => complain(stagePath(input, index, path), message)),
    ),
    decideWithinMs: settings.decideWithin ?? day,
  };
  stages.forEach((stage, index) => {
    if (stages.slice(0, index).some((other) => other.name === stage.name)) complaints.push(repeatedStage(input, index));
  });
  return { service, complaints };
}

type Complain = (path: Path, message: string) => void;

/** Stages that the service did not write itself have no place of their own in the file. */
function stagePath(input: ServiceInput, index: number, path: Path): Path {
  return input.stages === undefined ? path : ['stages', index, ...path];
}

function repeatedStage(input: ServiceInput, index: number): Complaint {
  return { path: stagePath(input, index, ['name']), message: 'expected a name that no other stage of this service has' };
}

function serviceName({ image, name }: ServiceInput, complain: Complain): string {
  const isPattern = image.repository === undefined;
  if (name === undefined) return isPattern ? '*' : shortenedName(lastSegment(image.text));
  if (isPattern && !name.includes('*')) {
    complain(['name'], `expected a name with *, such as ${name}-*, because the pattern ${image.text} gives many services`);
  }
  if (!isPattern && name.includes('*')) complain(['name'], 'expected a name without *: the image is one repository');
  return name;
}

function scanPlan(scan: Exclude<NonNullable<Settings['scan']>, 'off'>): ScanPlan {
  return { failOn: scan.failOn ?? 'critical', ignoreUnfixed: scan.ignoreUnfixed ?? false, ignore: scan.ignore ?? [] };
}

function smokePlan(smoke: Exclude<NonNullable<Settings['smoke']>, 'off'>, complain: Complain): SmokePlan {
  const { timeout, stayUp, memory, capabilities, env, envFile, command, http, tcp, exec } = smoke;
  const probes = Object.entries({ http, tcp, exec }).filter(([, probe]) => probe !== undefined);
  if (probes.length > 1)
    complain(['smoke'], `expected only one of http, tcp and exec, found ${probes.map(([key]) => key).join(' and ')}`);
  if (http !== undefined && http.port === undefined) complain(['smoke', 'http', 'port'], 'expected a port, found nothing');
  if (tcp !== undefined && tcp.port === undefined) complain(['smoke', 'tcp', 'port'], 'expected a port, found nothing');
  const plan: SmokePlan = {
    timeoutMs: timeout ?? 60_000,
    stayUpMs: stayUp ?? 10_000,
    memoryBytes: memory ?? 512 * 1024 ** 2,
    cpus: smoke.cpus ?? 1,
    pids: smoke.pids ?? 256,
    capabilities: (capabilities ?? []).map((capability) => capability.replace(/^CAP_/, '')),
    env: env ?? {},
    ...(envFile === undefined ? {} : { envFile }),
    ...(command === undefined ? {} : { command }),
    ...(http?.port === undefined ? {} : { http: { port: http.port, path: http.path ?? '/' } }),
    ...(tcp?.port === undefined ? {} : { tcp: { port: tcp.port } }),
    ...(exec === undefined ? {} : { exec }),
  };
  if (plan.stayUpMs > plan.timeoutMs) {
    complain(['smoke', 'stayUp'], 'expected stayUp to be no longer than timeout: the smoke test could never pass');
  }
  return plan;
}

function resolveStage(input: StageInput, settings: Settings, context: ServiceContext, complain: Complain): StageSettings {
  const shared = { change: settings.change, dispatch: settings.dispatch };
  const { change, dispatch } = mergeSettings(withoutUndefined(shared), input);
  return {
    name: input.name,
    merge: 'off',
    ...(change === undefined || change === 'off' ? {} : { change: resolveChange(change, context, complain) }),
    ...(dispatch === undefined || dispatch === 'off' ? {} : { dispatch: resolveDispatch(dispatch, context, complain) }),
  };
}

function withoutUndefined(shared: {
  change: Settings['change'];
  dispatch: Settings['dispatch'];
}): Pick<Settings, 'change' | 'dispatch'> {
  return {
    ...(shared.change === undefined ? {} : { change: shared.change }),
    ...(shared.dispatch === undefined ? {} : { dispatch: shared.dispatch }),
  };
}

type ChangeInput = Exclude<NonNullable<Settings['change']>, 'off'>;

function resolveChange(change: ChangeInput, context: ServiceContext, complain: Complain): NonNullable<StageSettings['change']> {
  const { repository = '', file = '', title, body } = change;
  if (repository === '')
    complain(['change', 'repository'], 'expected the deployment repository, found nothing here and in defaults.change');
  if (file === '')
    complain(['change', 'file'], 'expected the file that names the image, found nothing here and in defaults.change');
  if (isGitHubRepository(repository) && !context.hasGitHub) complain(['change', 'repository'], needsGitHub(repository));
  const target = changeTarget(change, complain);
  return {
    repository: /^\.{1,2}(?:\/|$)/.test(repository) ? resolve(context.directory, repository) : repository,
    base: change.base ?? 'main',
    file,
    ...(target === undefined ? {} : { target }),
    pin: change.pin ?? 'tag@digest',
    value: change.value ?? 'reference',
    ...(title === undefined ? {} : { title }),
    ...(body === undefined ? {} : { body }),
    labels: change.labels ?? [],
    reviewers: change.reviewers ?? [],
    assignees: change.assignees ?? [],
  };
}

function changeTarget({ services, path, marker, key }: ChangeInput, complain: Complain): ChangeTarget | undefined {
  const named = Object.entries({ services, path, marker, key }).flatMap(([word, value]) => (value === undefined ? [] : [word]));
  if (named.length > 1) complain(['change'], `expected only one of services, path, marker and key, found ${named.join(' and ')}`);
  if (services !== undefined) return { kind: 'compose', services };
  if (path !== undefined) return { kind: 'yaml', path };
  if (marker !== undefined) return { kind: 'marker', name: marker };
  return key === undefined ? undefined : { kind: 'env', key };
}

function resolveDispatch(
  dispatch: Exclude<NonNullable<Settings['dispatch']>, 'off'>,
  context: ServiceContext,
  complain: Complain,
): DispatchPlan & NonNullable<StagePlan['dispatch']> {
  const { repository = '', event = '' } = dispatch;
  if (repository === '') complain(['dispatch', 'repository'], 'expected a GitHub repository as owner/name, found nothing');
  else if (!context.hasGitHub) complain(['dispatch', 'repository'], needsGitHub(repository));
  if (event === '') complain(['dispatch', 'event'], 'expected an event type such as image_published, found nothing');
  return { repository, event };
}

function needsGitHub(repository: string): string {
  return `expected forge.github with token or app, because ${showValue(repository)} is a repository at GitHub (begin a path with ./)`;
}
