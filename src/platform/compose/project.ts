/** A compose file as `docker compose config --format json` writes it; of its members only those are named that matter here. */
export interface ComposeProject {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly networks?: Readonly<Record<string, unknown>>;
  readonly volumes?: Readonly<Record<string, unknown>>;
  readonly [other: string]: unknown;
}

export interface ComposeService {
  readonly image?: string;
  readonly build?: unknown;
  readonly platform?: string;
  readonly network_mode?: string;
  readonly networks?: Readonly<Record<string, unknown>> | null;
  readonly [other: string]: unknown;
}

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
    readonly test:
      | { readonly kind: 'image'; readonly image: string; readonly command?: readonly string[] }
      | { readonly kind: 'exec' };
  };
  /** For the test image; secrets resolved. */
  readonly variables: Readonly<Record<string, string>>;
}

/** The file cannot be run beside what is deployed on the same host; the message says which setting, and why. */
export class NotIsolated extends Error {}

/**
 * The same services for one run that meets nothing else on this host: the candidate by its digest, no published ports, no fixed names,
 * networks and volumes of its own (also where the file names external ones), nothing that starts again by itself. Bind mounts stay: they
 * hold the files that services are configured with.
 * @returns the project, and the name of the service that is the test image
 * @throws NotIsolated
 */
export function throwAwayProject(
  file: ComposeProject,
  run: DisposableProject,
): { project: ComposeProject; test: string | undefined } {
  const { integration, image, labels, name } = run;
  const services = mapped(file.services, (service, key) => {
    const own = isolated(key, service, labels);
    if (key !== integration.candidate) return own;
    const { build: _, ...kept } = own;
    return { ...kept, image, pull_policy: 'never' };
  });
  const networks = renewed({ ...file.networks, default: {} }, run);
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
    pull_policy: 'never',
    restart: 'no',
  };
  return { project: { ...project, services: { ...services, [testName]: testService } }, test: testName };
}

/** What `docker compose config` leaves of the file has to be taken as it is: a dollar sign would be a variable again. */
function escaped(text: string): string {
  return text.replaceAll('$', '$$$$');
}

function mapped<Value, Result>(values: Readonly<Record<string, Value>>, map: (value: Value, key: string) => Result) {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, map(value, key)]));
}

function isolated(name: string, service: ComposeService, labels: Readonly<Record<string, string>>): ComposeService {
  const { network_mode: mode = '' } = service;
  if (mode === 'host' || mode === 'bridge' || mode.startsWith('container:')) {
    throw new NotIsolated(
      `service ${name} has network_mode ${mode}, which would join it to what else runs on this host: take it out of the integration check's compose file`,
    );
  }
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

/** A fixed address would be taken where the same file is deployed on this host. */
function withoutAddresses(settings: unknown): unknown {
  if (settings === null || settings === undefined) return null;
  const { ipv4_address: _4, ipv6_address: _6, link_local_ips: _local, mac_address: _mac, ...kept } = record(settings);
  return kept;
}

/** Networks or volumes: with Docker's own driver, and without the options that would make them somebody else's. */
function renewed(all: Readonly<Record<string, unknown>>, { name, labels }: DisposableProject): Record<string, unknown> {
  return mapped(all, (settings, key) => ({
    name: `${name}_${key}`,
    labels: mapped(labels, escaped),
    ...(record(settings).internal === true && { internal: true }),
  }));
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
