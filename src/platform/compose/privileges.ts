import { realpath, stat } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { type ComposeProject, type ComposeService, NotIsolated } from './file.ts';

/** What a compose file may not ask for: the image in it was approved by nobody yet, and each of these is a way to the whole host. */
type RefusedKey = readonly [key: string, found: string];

/** Docker's own set, and what databases and caches ask for beside it: none reaches past the container's own namespaces. */
const harmlessCapabilities = new Set([
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'IPC_LOCK',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'NET_RAW',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
  'SYS_NICE',
]);

/** @throws NotIsolated that names the service and the key */
export function refusePrivileges(project: ComposeProject): void {
  for (const [name, service] of Object.entries(project.services)) {
    const [refused] = privilegesOf(service);
    if (refused === undefined) continue;
    const [key, found] = refused;
    throw new NotIsolated(
      `service ${name} has ${key}${found === '' ? '' : ` ${found}`}, which would give it this host, and nobody has approved the image that is ` +
        "tested beside it: take it out of the integration check's compose file",
    );
  }
}

function privilegesOf(service: ComposeService): RefusedKey[] {
  const asked = (key: string, isRefused: (value: string) => boolean) =>
    texts(service[key])
      .filter(isRefused)
      .map((found): RefusedKey => [key, found]);
  const there = (key: string, value: unknown) => (isEmpty(value) ? [] : [[key, ''] as const]);
  const hooks = [...list(service.post_start), ...list(service.pre_stop)];
  const { build, deploy } = service;
  return [
    ...asked('privileged', (value) => value === 'true'),
    ...['pid', 'ipc', 'uts', 'userns_mode', 'cgroup'].flatMap((key) => asked(key, isHostOrContainer)),
    ...asked('network_mode', (mode) => mode === 'bridge' || isHostOrContainer(mode)),
    ...asked('cgroup_parent', (value) => value !== ''),
    ...asked('cap_add', (value) => !harmlessCapabilities.has(value.toUpperCase().replace(/^CAP_/, ''))),
    ...asked('security_opt', (value) => /unconfined|disable|^no-new-privileges.false|^seccomp|^writable-cgroups/i.test(value)),
    ...['devices', 'device_cgroup_rules', 'gpus', 'provider'].flatMap((key) => there(key, service[key])),
    ...there('deploy.resources.reservations.devices', member(deploy, 'resources', 'reservations', 'devices')),
    ...asked('use_api_socket', (value) => value === 'true'),
    ...asked('volumes_from', (value) => value.startsWith('container:')),
    ...(hooks.some((hook) => member(hook, 'privileged') === true)
      ? [['post_start or pre_stop', 'with privileged'] as const]
      : []),
    ...(member(build, 'privileged') === true ? [['build.privileged', ''] as const] : []),
    ...there('build.entitlements', member(build, 'entitlements')),
    ...texts(member(build, 'network'))
      .filter(isHostOrContainer)
      .map((found): RefusedKey => ['build.network', found]),
  ];
}

function isHostOrContainer(value: string): boolean {
  return value === 'host' || value.startsWith('container:');
}

/** Where files of the host may be mounted from, and where not even there. */
export interface MountRules {
  /** Absolute. */
  readonly folder: string;
  /** Absolute: what Landfall itself keeps. */
  readonly forbidden: readonly string[];
}

/**
 * Files of the host may come from the folder of the compose file, and from the repository that it is in.
 * @throws NotIsolated that names the service and what it mounts
 */
export async function refuseForeignMounts(project: ComposeProject, rules: MountRules): Promise<void> {
  const allowed = await realOf(await repositoryOf(rules.folder));
  const own = await Promise.all(rules.forbidden.map(realOf));
  const forbidden = own.filter((folder) => isIn(folder, allowed));
  const refuse = async (what: string, source: string) => {
    const why = await whyForeign(source, allowed, forbidden);
    if (why === undefined) return;
    throw new NotIsolated(
      `${what} mounts ${source}, ${why}: expected something in ${allowed}, the repository of the integration check's compose file`,
    );
  };
  for (const [name, service] of Object.entries(project.services)) {
    for (const volume of list(service.volumes)) {
      const [type, source] = [member(volume, 'type'), member(volume, 'source')];
      if (type === 'bind' || type === 'npipe' || type === 'cluster') await refuse(`a volume of service ${name}`, String(source));
    }
  }
  for (const key of ['secrets', 'configs']) {
    for (const [name, entry] of Object.entries(mapOf(project[key]))) {
      const file = member(entry, 'file');
      if (typeof file === 'string') await refuse(`${key}.${name}`, file);
    }
  }
}

async function whyForeign(source: string, allowed: string, forbidden: readonly string[]): Promise<string | undefined> {
  const real = await realOf(source);
  const found = await stat(real).catch(() => undefined);
  if (found?.isSocket() || /docker\.sock$/.test(source)) return 'a socket';
  if (!isIn(real, allowed)) return 'which belongs to the host';
  if (forbidden.some((folder) => isIn(real, folder) || isIn(folder, real))) return 'where Landfall keeps what is its own';
  return undefined;
}

function isIn(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : `${folder}${sep}`);
}

/** Where links lead; of what is not there yet, where its nearest folder leads. */
async function realOf(path: string): Promise<string> {
  const absolute = resolve(path);
  const real = await realpath(absolute).catch(() => undefined);
  if (real !== undefined) return real;
  const parent = dirname(absolute);
  return parent === absolute ? absolute : join(await realOf(parent), absolute.slice(parent.length));
}

/** The checkout that a folder is in, or the folder itself. */
async function repositoryOf(folder: string): Promise<string> {
  for (let at = folder; ; at = dirname(at)) {
    if (await stat(join(at, '.git')).catch(() => undefined)) return at;
    if (dirname(at) === at) return folder;
  }
}

function texts(value: unknown): string[] {
  return list(value).flatMap((each) => (typeof each === 'object' ? [] : [String(each)]));
}

function list(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}

function isEmpty(value: unknown): boolean {
  return list(value).length === 0;
}

function mapOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

function member(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((at, key) => mapOf(at)[key], value);
}
