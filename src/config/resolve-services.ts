import type { Tag } from '../domain/image-reference.ts';
import type { ScanPlan, SmokePlan } from '../domain/plan.ts';
import { lastSegment } from '../settings/image-pattern.ts';
import { type Complain, type Complaint, type Path, within } from '../settings/problem.ts';
import type { IntegrationSettings, ServiceSettings } from './configuration.ts';
import { mergeSettings } from './merge.ts';
import { forwardingComplaints, forwardingStage, isForwarding, unnamedRepositoryComplaint } from './resolve-forward.ts';
import { resolveStage } from './resolve-stage.ts';
import type { ServiceContext } from './service-context.ts';
import { shortenedName } from './service-name.ts';
import type { ServiceInput, Settings, StageInput } from './service-schema.ts';

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
  const listed = input.stages ?? context.defaults.stages ?? [onlyStage];
  const merged = listed.map((stage) => mergeSettings(forStages(settings), stage));
  const forwards = merged.some(isForwarding);
  if (forwards) forwardingComplaints(input, listed, complain);
  const stages = forwards ? merged.map(forwardingStage) : merged;
  const service: ServiceSettings = {
    image,
    name: serviceName(input, complain),
    tags: settings.tags ?? { kind: 'exact', tags: [latest] },
    ...(forwards ? { platforms: [] } : checks(settings, complain)),
    stages: stages.map((stage, index) => {
      const complainInside: Complain = (path, message) => complain(stagePath(input, index, path), message);
      const resolved = resolveStage(stage, context, complainInside);
      unnamedRepositoryComplaint(image.text, resolved, complainInside);
      return resolved;
    }),
    decideWithinMs: settings.decideWithin ?? day,
  };
  listed.forEach((stage, index) => {
    if (listed.slice(0, index).some((other) => other.name === stage.name)) complaints.push(repeatedStage(input, index));
  });
  return { service, complaints };
}

/** What an image has to pass before any stage. */
function checks(
  { platforms, scan, smoke, integration }: Settings,
  complain: Complain,
): Pick<ServiceSettings, 'platforms' | 'scan' | 'smoke' | 'integration'> {
  return {
    platforms: platforms ?? [],
    ...(scan === 'off' ? {} : { scan: scanPlan(scan ?? {}) }),
    ...(smoke === 'off' ? {} : { smoke: smokePlan(smoke ?? {}, complain) }),
    ...(integration === undefined || integration === 'off'
      ? {}
      : { integration: integrationPlan(integration, within(complain, 'integration')) }),
  };
}

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

function integrationPlan(
  integration: Exclude<NonNullable<Settings['integration']>, 'off'>,
  complain: Complain,
): IntegrationSettings {
  const { compose = '', candidate, services, env, timeout } = integration;
  if (compose === '') complain(['compose'], 'expected a compose file, found nothing here and in defaults.integration');
  return {
    compose,
    ...(candidate === undefined ? {} : { candidate }),
    services: services ?? [],
    test: integrationTest(integration.test ?? {}, within(complain, 'test')),
    env: env ?? {},
    timeoutMs: timeout ?? 300_000,
  };
}

type TestInput = NonNullable<Exclude<NonNullable<Settings['integration']>, 'off'>['test']>;

function integrationTest({ image, service, command }: TestInput, complain: Complain): IntegrationSettings['test'] {
  if ((image === undefined) === (service === undefined))
    complain([], `expected either image, or service and command, found ${image === undefined ? 'none' : 'both'}`);
  if (image !== undefined) return { kind: 'image', image, ...(command === undefined ? {} : { command }) };
  if (service !== undefined && command === undefined)
    complain(['command'], 'expected the command that is run in the service, found nothing');
  return { kind: 'exec', service: service ?? '', command: command ?? [] };
}

/** What a service says for all of its stages. */
function forStages(settings: Settings) {
  const { tags: _tags, platforms: _platforms, scan: _scan, smoke: _smoke, integration: _integration, ...rest } = settings;
  const { decideWithin: _decideWithin, stages: _stages, ...shared } = rest;
  return shared;
}
