/*
 * How a file becomes plans, and which file does what:
 *
 *   document.ts           the text of the file -> YAML that knows its lines and columns
 *   schema.ts, *-schema   each section by itself: zod reads it, and says what is wrong with it; kinds.ts has what the kinds bring along
 *   merge.ts, resolve-*   services and stages: defaults under their own settings, and everything that is left out filled in
 *   service-set.ts        what is wrong with services only because of each other
 *   load.ts               (this file) calls all of them, and gives a `Configuration` (configuration.ts) or every problem with its place
 *   plans.ts, fill-in.ts  later, for each push: from a service's settings and the pushed repository to the plan of a rollout
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Environment } from '../domain/environment.ts';
import { codeOf } from '../domain/errors.ts';
import { Refusal } from '../domain/failures.ts';
import type { TlsFiles } from '../http/tls.ts';
import { gitHubSettings } from '../settings/github.ts';
import { type Complaint, type ConfigurationProblem, formatPath } from '../settings/problem.ts';
import type { SecretCheck } from '../settings/scalars.ts';
import { createSecretResolver } from '../settings/secrets.ts';
import { wordIssue } from '../settings/wording.ts';
import type { AuditSettings, Configuration, ServiceSettings } from './configuration.ts';
import { readDocument, type SourceDocument } from './document.ts';
import { complaintsOf } from './issues.ts';
import type { Kinds } from './kinds.ts';
import { operators } from './people-schema.ts';
import { resolveService } from './resolve-services.ts';
import { type Role, roles } from './roles.ts';
import { defaultData, type FileInput, fileSchema, type SecretCheckFor } from './schema.ts';
import type { ServiceContext } from './service-context.ts';
import { defaultsSchema, type ServiceInput, serviceSchema } from './service-schema.ts';
import { serviceSetComplaints } from './service-set.ts';
import { type TemporalSettings, temporal, temporalComplaints, temporalSettings } from './temporal.ts';

export interface LoadOptions {
  /** The parts of Landfall whose secrets must all be there. Default: all. An operator's command needs none of the service's. */
  readonly secretsFor?: readonly Role[];
}

export type Loaded = { readonly configuration: Configuration } | { readonly problems: readonly ConfigurationProblem[] };

/** Reads and checks a configuration file; either it is right as a whole, or all that is wrong with it is said at once. */
export function loadConfiguration(file: string, env: Environment, kinds: Kinds, options: LoadOptions = {}): Loaded {
  return loadText(undefined, file, env, kinds, options);
}

/** The same for a text in place of the file, if there is one. @param file relative paths are relative to its folder all the same */
export function loadText(
  text: string | undefined,
  file: string,
  env: Environment,
  kinds: Kinds,
  options: LoadOptions = {},
): Loaded {
  const source = text === undefined ? readSource(file) : sourceOf(text, file);
  return 'problems' in source ? source : loadSource(source, file, env, kinds, options);
}

function loadSource(
  source: { readonly document: SourceDocument; readonly value: unknown },
  file: string,
  env: Environment,
  kinds: Kinds,
  { secretsFor = roles }: LoadOptions,
): Loaded {
  const directory = dirname(resolve(file));
  const check = secretCheck(env, directory);
  const checkFor: SecretCheckFor = (...users) => (users.some((role) => secretsFor.includes(role)) ? check : acceptEverySecret);
  const parsed = fileSchema(checkFor, kinds).safeParse(source.value, { error: wordIssue });
  const complaints = parsed.success ? [] : complaintsOf(parsed.error.issues);
  const services = resolveServices(source.value, directory, checkFor, kinds);
  complaints.push(...services.complaints);
  if (parsed.success)
    complaints.push(
      ...temporalComplaints(parsed.data.temporal ?? {}, env),
      ...notifyComplaints(parsed.data, kinds),
      ...certificateComplaints(parsed.data, kinds),
      ...environmentComplaints(parsed.data, env, kinds),
    );
  const deploysOnly = secretsFor.includes('deploy') && !secretsFor.includes('worker');
  if (parsed.success && deploysOnly) complaints.push(...watchComplaints(parsed.data, services.services, check));
  if (complaints.length > 0 || !parsed.success) return { problems: placed(file, source.document, complaints) };
  return { configuration: configurationOf(parsed.data, services.services, resolve(file), env, kinds) };
}

/** What is needed to reach a running Landfall's Temporal; the rest of the file may be wrong, or the whole file missing. */
export function loadTemporalSettings(
  file: string,
  env: Environment,
):
  | { readonly temporal: TemporalSettings; readonly directory: string; readonly data: string }
  | { readonly problems: readonly ConfigurationProblem[] } {
  const directory = dirname(resolve(file));
  const source = readSource(file);
  if ('problems' in source && !source.missing) return { problems: source.problems };
  const value = 'value' in source ? source.value : {};
  const parsed = temporal(acceptEverySecret).safeParse(section(value, 'temporal') ?? {}, { error: wordIssue });
  if (!parsed.success) {
    const complaints = complaintsOf(parsed.error.issues).map(({ path, message }) => ({ path: ['temporal', ...path], message }));
    return { problems: 'document' in source ? placed(file, source.document, complaints) : [] };
  }
  const data = section(value, 'data');
  return {
    temporal: temporalSettings(parsed.data, env, directory),
    directory,
    data: resolve(directory, typeof data === 'string' ? data : defaultData),
  };
}

type SourceResult =
  | { readonly document: SourceDocument; readonly value: unknown }
  | { readonly problems: readonly ConfigurationProblem[]; readonly missing: boolean };

function readSource(file: string): SourceResult {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const code = String(codeOf(error) ?? error);
    const message = `expected a readable file, found ${code}: \`npm start\` writes a commented starter`;
    return { problems: [{ file, line: 1, column: 1, path: '', message }], missing: code === 'ENOENT' };
  }
  return sourceOf(text, file);
}

function sourceOf(text: string, file: string): SourceResult {
  const read = readDocument(text);
  if ('problems' in read) return { problems: read.problems.map((problem) => ({ file, path: '', ...problem })), missing: false };
  return { document: read.document, value: withoutEmptySections(read.document.value) };
}

/** A section whose every line is commented out counts as absent, and so does an empty file. */
function withoutEmptySections(value: unknown): unknown {
  if (value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([, section]) => section !== null));
}

function section(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? Object.entries(value).find(([name]) => name === key)?.[1]
    : undefined;
}

/**
 * Each service by itself, so that what is wrong elsewhere in the file hides nothing of what is wrong here; nor does a missing secret,
 * which the file's own schema tells of.
 */
function resolveServices(
  value: unknown,
  directory: string,
  checkFor: SecretCheckFor,
  kinds: Kinds,
): { services: ServiceSettings[]; complaints: Complaint[] } {
  const defaults = defaultsSchema(acceptEverySecret, kinds).safeParse(section(value, 'defaults') ?? {});
  const listed = section(value, 'services');
  const inputs: (ServiceInput | undefined)[] = Array.isArray(listed)
    ? listed.map((item) => serviceSchema(acceptEverySecret, kinds).safeParse(item).data)
    : [];
  if (!defaults.success) return { services: [], complaints: [] };
  const named = operators(acceptEverySecret).safeParse(section(value, 'operators') ?? []).data;
  const context: ServiceContext = {
    kinds,
    defaults: defaults.data,
    ...(named === undefined ? {} : { operators: named }),
    checkFor,
    forges: kinds.forges.map(({ kind }) => kind).filter((kind) => section(section(value, 'forge'), kind) !== undefined),
    directory,
  };
  const resolved = inputs.map((input) => (input === undefined ? undefined : resolveService(input, context)));
  const own = resolved.flatMap((entry, index) =>
    (entry?.complaints ?? []).map(({ path, message }) => ({ path: ['services', index, ...path], message })),
  );
  const set = serviceSetComplaints(resolved.map((entry) => entry?.service));
  return { services: resolved.flatMap((entry) => (entry === undefined ? [] : [entry.service])), complaints: [...own, ...set] };
}

function notifyComplaints({ notify = [], forge }: FileInput, { notifiers }: Kinds): Complaint[] {
  if (gitHubSettings(forge) !== undefined) return [];
  return notify.flatMap(({ notifier: { kind } }, index) => {
    const because = notifiers.find((known) => known.kind === kind)?.needsGitHub;
    if (because === undefined) return [];
    return [{ path: ['notify', index, kind], message: `expected forge.github with token or app, because ${because}` }];
  });
}

/** Client certificates come in the handshake, or from a proxy that has them from there. */
function certificateComplaints({ receivers = {}, listen }: FileInput, { sources }: Kinds): Complaint[] {
  const canCome = listen.tls !== undefined || listen.certificateHeader !== undefined;
  if (canCome) return [];
  const message =
    'expected listen.tls beside it, or listen.certificateHeader with the proxies in listen.trustedProxies: without them no certificate ever comes';
  return sources.flatMap(({ name, clientCertificateAt }) => {
    const settings = receivers[name];
    const path = settings === undefined ? undefined : clientCertificateAt?.(settings);
    return path === undefined ? [] : [{ path: ['receivers', name, ...path], message }];
  });
}

/** The watch of a stage runs where its deploy does, and so needs the forge's secrets there where a Deployment is its proof. */
function watchComplaints({ forge }: FileInput, services: readonly ServiceSettings[], check: SecretCheck): Complaint[] {
  const asks = services.some(({ stages }) =>
    stages.some(({ deploy, watch }) => deploy?.host !== undefined && watch?.deployment !== undefined),
  );
  const { token, app } = gitHubSettings(forge) ?? {};
  const secrets = [
    { path: ['token'], reference: token },
    { path: ['app', 'id'], reference: app?.id },
    { path: ['app', 'privateKey'], reference: app?.privateKey },
  ];
  return secrets.flatMap(({ path, reference }) => {
    const message = !asks || reference === undefined ? undefined : check(reference);
    return message === undefined ? [] : [{ path: ['forge', 'github', ...path], message }];
  });
}

function configurationOf(
  input: FileInput,
  services: readonly ServiceSettings[],
  file: string,
  env: Environment,
  kinds: Kinds,
): Configuration {
  const directory = dirname(file);
  const { publicUrl, listen, registries = {} } = input;
  const data = resolve(directory, input.data);
  return {
    kinds,
    file,
    directory,
    ...(publicUrl === undefined ? {} : { publicUrl }),
    listen: {
      webhooks: listen.webhooks,
      operators: listen.operators,
      ...(listen.tls !== undefined && { tls: tlsSettings(listen.tls, directory) }),
      trustedProxies: listen.trustedProxies,
      ...(listen.certificateHeader !== undefined && { certificateHeader: listen.certificateHeader }),
      limits: listen.limits,
    },
    receivers: receiversOf(input, env, kinds),
    registries: Object.fromEntries(
      Object.entries(registries).map(([host, { search, ...registry }]) => [
        host,
        { ...registry, ...(search !== undefined && { searchEveryMs: search }) },
      ]),
    ),
    forge: input.forge ?? {},
    temporal: temporalSettings(input.temporal ?? {}, env, directory),
    artifacts: resolve(directory, input.artifacts),
    data,
    sections: sectionsOf(input, kinds),
    docker: input.docker ?? {},
    ...(input.search !== 'off' && { searchEveryMs: input.search }),
    audit: auditSettings(input.audit, directory, data, env),
    log: { level: input.log?.level ?? (isDebug(env) ? 'debug' : 'info') },
    operators: input.operators ?? [],
    notify: input.notify ?? [],
    services,
  };
}

function sectionsOf(input: FileInput, { checks }: Kinds): Configuration['sections'] {
  const keys = checks.flatMap(({ section }) => (section === undefined ? [] : [section.key]));
  return Object.fromEntries(Object.entries(input).filter(([key]) => keys.includes(key)));
}

/** What the environment says counts where the file is silent. */
function receiversOf({ receivers = {} }: FileInput, env: Environment, { sources }: Kinds): Configuration['receivers'] {
  const found = sources.flatMap(({ name, fromEnvironment }) => {
    const said = fromEnvironment?.(env);
    return said !== undefined && 'settings' in said ? [[name, said.settings]] : [];
  });
  return { ...Object.fromEntries(found), ...receivers };
}

function environmentComplaints({ receivers = {} }: FileInput, env: Environment, { sources }: Kinds): Complaint[] {
  return sources.flatMap(({ name, fromEnvironment }) => {
    const said = receivers[name] === undefined ? fromEnvironment?.(env) : undefined;
    return said !== undefined && 'problem' in said ? [{ path: ['receivers', name], message: said.problem }] : [];
  });
}

function tlsSettings(tls: NonNullable<FileInput['listen']['tls']>, directory: string): TlsFiles {
  if (typeof tls === 'string') return { folder: resolve(directory, tls) };
  return { cert: resolve(directory, tls.cert), key: resolve(directory, tls.key) };
}

function auditSettings(
  { file, size, keep, endpoint }: FileInput['audit'],
  directory: string,
  data: string,
  env: Environment,
): AuditSettings {
  const posted = endpoint ?? (env.LOGGING_ENDPOINT || undefined);
  return {
    file: file === undefined ? resolve(data, 'audit.jsonl') : resolve(directory, file),
    bytes: size,
    keep,
    ...(posted !== undefined && { endpoint: posted }),
  };
}

function isDebug({ DEBUG }: Environment): boolean {
  return DEBUG !== undefined && /^(?:1|true|yes|on)$/i.test(DEBUG);
}

const acceptEverySecret: SecretCheck = () => undefined;

function secretCheck(env: Environment, directory: string): SecretCheck {
  const resolveSecret = createSecretResolver(env, directory);
  return (reference) => {
    try {
      resolveSecret(reference);
      return undefined;
    } catch (error) {
      if (error instanceof Refusal) return error.message;
      throw error;
    }
  };
}

function placed(file: string, document: SourceDocument, complaints: readonly Complaint[]): ConfigurationProblem[] {
  return complaints
    .map(({ path, message }) => ({ file, ...document.positionOf(path), path: formatPath(path), message }))
    .sort((a, b) => a.line - b.line || a.column - b.column);
}
