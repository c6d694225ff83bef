import { closedNetwork, noNameServer } from '../docker/closed-network.ts';
import { calmedHealthcheck, usualLimits } from '../docker/limits.ts';
import type { ComposeProject, ComposeService } from './file.ts';
import { refusePrivileges } from './privileges.ts';

export interface DisposableProject {
  /** Of the compose project. */
  readonly name: string;
  /** `repository@digest` */
  readonly image: string;
  /** On everything, so that the sweep finds what a killed worker left. */
  readonly labels: Readonly<Record<string, string>>;
  readonly integration: {
    /** The service that gets the image. */
    readonly candidate: string;
    /** Absent: networks without a way out. */
    readonly network?: 'full';
    /** Of the candidate. */
    readonly runtime?: string;
    readonly test:
      | { readonly kind: 'image'; readonly image: string; readonly command?: readonly string[] }
      | { readonly kind: 'exec' };
  };
  /** For the test image; secrets resolved. */
  readonly variables: Readonly<Record<string, string>>;
}

/**
 * The same services for one run that meets nothing else on this host: the candidate by its digest and with the limits of a smoke test, no
 * published ports, no fixed names, networks and volumes of its own (also where the file names external ones), nothing that starts again by
 * itself. Bind mounts stay: they hold the files that services are configured with (see refuseForeignMounts).
 * @returns the project, and the name of the service that is the test image
 * @throws NotIsolated
 */
export function throwAwayProject(
  file: ComposeProject,
  run: DisposableProject,
): { project: ComposeProject; test: string | undefined } {
  const { integration, image, labels, name } = run;
  refusePrivileges(file);
  const services = mapped(file.services, (service, key) => {
    const own = { ...isolated(service, labels), ...namesOf(service, run) };
    if (key !== integration.candidate) return own;
    const { build: _, ...kept } = own;
    return { ...boxed(kept, integration.runtime), image, pull_policy: 'never' };
  });
  const networks = renewedNetworks({ ...file.networks, default: {} }, run);
  const { test } = integration;
  const project = { ...file, name, networks, volumes: renewed(file.volumes ?? {}, run) };
  if (test.kind === 'exec') return { project: { ...project, services }, test: undefined };
  const testName = unusedName(services);
  const testService = {
    image: test.image,
    ...(test.command !== undefined && { command: test.command.map(escaped) }),
    environment: mapped(run.variables, escaped),
    // Wherever a service is, the test can reach it.
    networks: mapped(networks, () => null),
    labels: mapped(labels, escaped),
    ...namesOf({}, run),
    pull_policy: 'never',
    restart: 'no',
  };
  return { project: { ...project, services: { ...services, [testName]: testService } }, test: testName };
}

const closed = { internal: true, driver_opts: closedNetwork.Options };

/** What `docker compose config` leaves of the file has to be taken as it is: a dollar sign would be a variable again. */
function escaped(text: string): string {
  return text.replaceAll('$', '$$$$');
}

function mapped<Value, Result>(values: Readonly<Record<string, Value>>, map: (value: Value, key: string) => Result) {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, map(value, key)]));
}

function isolated(service: ComposeService, labels: Readonly<Record<string, string>>): ComposeService {
  const { ports: _ports, container_name: _name, restart: _restart, external_links: _external, ...kept } = service;
  const networks = service.networks && mapped(service.networks, withoutAddresses);
  return {
    ...kept,
    ...(networks && { networks }),
    labels: { ...record(service.labels), ...mapped(labels, escaped) },
    restart: 'no',
    // Pulled before, with Landfall's own credentials.
    ...(service.build === undefined && service.platform === undefined && { pull_policy: 'never' }),
  };
}

/** Names outside of the project stay unknown, also with engines that would ask for them on their own. */
function namesOf({ network_mode: mode }: ComposeService, { integration }: DisposableProject): Readonly<Record<string, unknown>> {
  return integration.network === 'full' || mode !== undefined
    ? {}
    : { dns: noNameServer.addresses, dns_opt: noNameServer.options };
}

/** What a smoke test allows an image, where the file does not say how much it needs itself. */
function boxed(service: ComposeService, runtime: string | undefined): ComposeService {
  const { oom_kill_disable: _oom, oom_score_adj: _score, memswap_limit: _swap, ...kept } = service;
  const { limits } = record(record(kept.deploy).resources);
  const { memory, cpus, pids } = record(limits);
  const memoryLimit = amount(kept.mem_limit) ?? amount(memory) ?? usualLimits.memoryBytes;
  return {
    ...kept,
    ...(amount(kept.mem_limit) === undefined && amount(memory) === undefined && { mem_limit: memoryLimit }),
    // Memory and swap together: no swap.
    memswap_limit: memoryLimit,
    ...(amount(kept.cpus) === undefined && amount(cpus) === undefined && { cpus: usualLimits.cpus }),
    ...(amount(kept.pids_limit) === undefined && amount(pids) === undefined && { pids_limit: usualLimits.pids }),
    ulimits: { nofile: usualLimits.openFiles, core: 0, fsize: usualLimits.diskBytes, ...record(kept.ulimits) },
    cap_drop: ['ALL'],
    security_opt: [...new Set([...(Array.isArray(kept.security_opt) ? kept.security_opt : []), 'no-new-privileges:true'])],
    logging: { driver: 'json-file', options: { 'max-size': usualLimits.logSize, 'max-file': String(usualLimits.logFiles) } },
    ...(runtime !== undefined && { runtime }),
  };
}

/** The candidate's image may ask for its HEALTHCHECK again and again at once: see calmedHealthcheck. What the file says of it counts more. */
export function withCalmHealthcheck(
  project: ComposeProject,
  candidate: string,
  image: Parameters<typeof calmedHealthcheck>[0],
): ComposeProject {
  const service = project.services[candidate];
  const calm = calmedHealthcheck(image);
  if (service === undefined || calm === undefined || record(service.healthcheck).interval !== undefined) return project;
  const healthcheck = {
    ...record(service.healthcheck),
    ...(calm.Interval > 0 && { interval: `${calm.Interval}ns` }),
    ...(calm.StartInterval > 0 && { start_interval: `${calm.StartInterval}ns` }),
  };
  return { ...project, services: { ...project.services, [candidate]: { ...service, healthcheck } } };
}

/** Where the host can limit it, unless the file says how much itself. */
export function withDiskLimit(project: ComposeProject, candidate: string): ComposeProject {
  const service = project.services[candidate];
  const storage_opt = { size: String(usualLimits.diskBytes), ...record(service?.storage_opt) };
  return { ...project, services: { ...project.services, [candidate]: { ...service, storage_opt } } };
}

/** A limit that is one: `0` and `-1` mean none. */
function amount(value: unknown): number | undefined {
  const number = Number(value ?? 0);
  return number > 0 ? number : undefined;
}

/** A fixed address would be taken where the same file is deployed on this host. */
function withoutAddresses(settings: unknown): unknown {
  if (settings === null || settings === undefined) return null;
  const { ipv4_address: _4, ipv6_address: _6, link_local_ips: _local, mac_address: _mac, ...kept } = record(settings);
  return kept;
}

/** Networks or volumes: with Docker's own driver, and without the options that would make them somebody else's. */
function renewed(all: Readonly<Record<string, unknown>>, { name, labels }: DisposableProject): Record<string, object> {
  return mapped(all, (_, key) => ({ name: `${name}_${key}`, labels: mapped(labels, escaped) }));
}

/** Without a way out, unless the plan says otherwise: then those of them that had none before. */
function renewedNetworks(all: Readonly<Record<string, unknown>>, run: DisposableProject): Record<string, unknown> {
  const isFull = run.integration.network === 'full';
  return mapped(renewed(all, run), (network, key) => {
    const { internal } = record(all[key]);
    return { ...network, ...(isFull ? internal === true && { internal } : closed) };
  });
}

function unusedName(services: Readonly<Record<string, unknown>>): string {
  for (let number = 0; ; number += 1) {
    const name = `landfall-test${number === 0 ? '' : `-${number}`}`;
    if (!Object.hasOwn(services, name)) return name;
  }
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
