/*
 * How a file becomes plans, and which file does what:
 *
 *   document.ts      the text of the file -> YAML that knows its lines and columns
 *   schema.ts        the whole file: zod reads it, and says what is wrong with it; kinds.ts has what the kinds bring along
 *   service.ts       services, with the defaults under their own settings; their parts are in stage.ts, change.ts, deploy.ts and watch.ts
 *   service-set.ts   what is wrong with services only because of each other
 *   receivers.ts     which receiver may tell of the images of which service
 *   source.ts        the file as a whole: there, and read; load-temporal.ts reads of it what it takes to reach Temporal, and no more
 *   load.ts          (this file) calls all of them, and gives a `Configuration` (configuration.ts) or every problem with its place
 *   plans.ts         later, for each push: from a service's settings and the pushed repository to the plan of a rollout
 */
import { dirname, resolve } from 'node:path';
import type { Environment } from '../domain/environment.ts';
import { Refusal } from '../domain/failures.ts';
import { isPlainHttp } from '../domain/plain-http.ts';
import { gitHubSettings } from '../settings/github.ts';
import type { Complaint, ConfigurationProblem } from '../settings/problem.ts';
import type { SecretCheck } from '../settings/scalars.ts';
import { createSecretResolver } from '../settings/secrets.ts';
import { complaintsOf, wordIssue } from '../settings/wording.ts';
import { resolveBuilds } from './builds.ts';
import { dispatchNotes } from './change.ts';
import type { Configuration } from './configuration.ts';
import { type FileContext, type Kinds, type SecretCheckFor, saidOf } from './kinds.ts';
import { loginComplaints } from './login.ts';
import { operators } from './people.ts';
import { receiverComplaints, receiverNotes } from './receivers.ts';
import { type Role, roles } from './roles.ts';
import { type FileInput, fileSchema } from './schema.ts';
import { defaultsSchema, resolveService, type ServiceSettings, serviceSchema } from './service.ts';
import { serviceSetComplaints } from './service-set.ts';
import { type ConfigurationSource, type Problems, placed, readSource, sourceOf } from './source.ts';
import { temporalComplaints, temporalSettings } from './temporal.ts';

export interface LoadOptions {
  /** The parts of Landfall whose secrets must all be there. Default: all. An operator's command needs none of the service's. */
  readonly secretsFor?: readonly Role[];
  /** In place of the file, to whose folder relative paths are relative all the same. */
  readonly text?: string | undefined;
  /** For work without a server: the data folder in place of the file's. What only servers use of the file is passed over. */
  readonly localData?: string | undefined;
}

export interface LoadedConfiguration {
  readonly configuration: Configuration;
  /** What is right, and worth a look. */
  readonly warnings: readonly ConfigurationProblem[];
}

/** Reads and checks a configuration file; either it is right as a whole, or all that is wrong with it is said at once. */
export function loadConfiguration(
  file: string,
  env: Environment,
  kinds: Kinds,
  { secretsFor = roles, text, localData }: LoadOptions = {},
): LoadedConfiguration | Problems {
  const read = text === undefined ? readSource(file) : sourceOf(text, file);
  if ('problems' in read) return read;
  const source = localData === undefined ? read : withoutServer(read, localData);
  const directory = dirname(resolve(file));
  const check = secretCheck(env, directory);
  const checkFor: SecretCheckFor = (...users) => (users.some((role) => secretsFor.includes(role)) ? check : acceptEverySecret);
  const parsed = fileSchema(checkFor, kinds).safeParse(source.value, { error: wordIssue });
  const { services, complaints } = resolveServices(source.sections, directory, checkFor, kinds);
  if (!parsed.success) return placed(file, source.document, [...complaintsOf(parsed.error.issues), ...complaints]);
  const input = parsed.data;
  const { builds, complaints: ofBuilds } = resolveBuilds(listOf(source.sections.builds), {
    kinds,
    notify: input.notify ?? [],
    checkFor,
    hasForge: (kind) => saidOf(input.forge ?? {}, kind) !== undefined,
  });
  complaints.push(...ofBuilds);
  const deploysOnly = secretsFor.includes('deploy') && !secretsFor.includes('worker');
  const receivers = receiversOf(input, env, kinds);
  complaints.push(
    ...receiverComplaints(receivers, services, kinds),
    ...temporalComplaints(input.temporal ?? {}, env),
    ...notifyComplaints(input, kinds),
    ...certificateComplaints(input, kinds),
    ...environmentComplaints(input, env, kinds),
    ...endpointComplaints(input, env),
    ...loginComplaints(input.login, {
      isCluster: temporalSettings(input.temporal ?? {}, env, directory).kind === 'cluster',
      github: gitHubSettings(input.forge)?.url,
      repositories: builds.map(({ source }) => source.repository),
    }),
    ...(deploysOnly ? watchComplaints(input, services, check) : []),
  );
  if (complaints.length > 0) return placed(file, source.document, complaints);
  const configuration = configurationOf(input, { services, builds }, resolve(file), env, kinds);
  const { problems: warnings } = placed(file, source.document, [
    ...receiverNotes(receivers, services, kinds),
    ...notifyNotes(input, kinds),
    ...dispatchNotes(services),
    ...listenWarnings(configuration),
  ]);
  return { configuration, warnings };
}

const onlyForServers = ['listen', 'login', 'publicUrl', 'receivers', 'search', 'temporal'];

function withoutServer(source: ConfigurationSource, data: string): ConfigurationSource {
  if (source.value !== source.sections) return source;
  const kept = Object.entries(source.sections).filter(([key]) => !onlyForServers.includes(key));
  const sections = { ...Object.fromEntries(kept), data };
  return { ...source, value: sections, sections };
}

/** Each service by itself, so that nothing that is wrong elsewhere (nor a missing secret) hides what is wrong here. */
function resolveServices(
  sections: ConfigurationSource['sections'],
  directory: string,
  checkFor: SecretCheckFor,
  kinds: Kinds,
): { services: ServiceSettings[]; complaints: Complaint[] } {
  const { defaults = {}, services: listed, operators: people = [], forge } = sections;
  const shared = defaultsSchema(acceptEverySecret, kinds).safeParse(defaults).data;
  if (shared === undefined) return { services: [], complaints: [] };
  const named = operators(acceptEverySecret).safeParse(people).data;
  const hasForge = (kind: string) => typeof forge === 'object' && forge !== null && saidOf(forge, kind) !== undefined;
  const context: FileContext = {
    kinds,
    ...(named !== undefined && { operators: named }),
    checkFor,
    forges: kinds.forges.map(({ kind }) => kind).filter(hasForge),
    directory,
  };
  const schema = serviceSchema(acceptEverySecret, kinds);
  const resolved = listOf(listed).map((item) => {
    const input = schema.safeParse(item).data;
    return input && resolveService(input, shared, context);
  });
  const own = resolved.flatMap((entry, index) =>
    (entry?.complaints ?? []).map(({ path, message }) => ({ path: ['services', index, ...path], message })),
  );
  const set = serviceSetComplaints(resolved.map((entry) => entry?.service));
  return { services: resolved.flatMap((entry) => entry?.service ?? []), complaints: [...own, ...set] };
}

function listOf(section: unknown): unknown[] {
  return Array.isArray(section) ? section : [];
}

function notifyComplaints({ notify = [], forge }: FileInput, { notifiers }: Kinds): Complaint[] {
  if (gitHubSettings(forge) !== undefined) return [];
  return notify.flatMap(({ notifier: { kind } }, index) => {
    const because = notifiers.find((known) => known.kind === kind)?.needsGitHub;
    if (because === undefined) return [];
    return [{ path: ['notify', index, kind], message: `expected forge.github with token or app, because ${because}` }];
  });
}

/** Of the variable that stands in for the setting. */
function endpointComplaints({ audit }: FileInput, { LOGGING_ENDPOINT = '' }: Environment): Complaint[] {
  if (audit.endpoint !== undefined || audit.plainHttp === true || !isPlainHttp(LOGGING_ENDPOINT)) return [];
  const message =
    'expected LOGGING_ENDPOINT to begin with https://, found http://: correct it, or say audit: { plainHttp: true }, if nobody else is on that network';
  return [{ path: ['audit'], message }];
}

function notifyNotes({ notify = [] }: FileInput, { notifiers }: Kinds): Complaint[] {
  return notify.flatMap(({ notifier: { kind, settings } }, index) => {
    const message = notifiers.find((known) => known.kind === kind)?.note?.(settings);
    return message === undefined ? [] : [{ path: ['notify', index, kind], message }];
  });
}

/** Client certificates come in the handshake, or from a proxy that has them from there. */
function certificateComplaints({ receivers = {}, listen }: FileInput, { sources }: Kinds): Complaint[] {
  if (listen.tls !== undefined || listen.certificateHeader !== undefined) return [];
  const message =
    'expected listen.tls beside it, or listen.certificateHeader with the proxies in listen.trustedProxies: without them no certificate ever comes';
  return sources.flatMap(({ name, clientCertificateAt }) => {
    const settings = receivers[name];
    const path = settings === undefined ? undefined : clientCertificateAt?.(settings);
    return path === undefined ? [] : [{ path: ['receivers', name, ...path], message }];
  });
}

/** What is allowed, and most likely not meant: on every address, without TLS, and without a proxy that would have it. */
function listenWarnings({ listen, receivers }: Configuration): Complaint[] {
  const { tls, trustedProxies, webhooks } = listen;
  const isOpen = webhooks.host === '0.0.0.0' || /^[0:]+$/.test(webhooks.host);
  if (!isOpen || tls !== undefined || trustedProxies.length > 0 || Object.keys(receivers).length === 0) return [];
  const message =
    `takes webhooks on every address (${webhooks.host}:${webhooks.port}) without TLS, and trusts no proxy: whoever is on the way reads secrets, and behind a proxy ` +
    'all senders share the limits of one; set tls, or trustedProxies to the address of the proxy in front, or let webhooks listen on 127.0.0.1';
  return [{ path: ['listen'], message }];
}

/** The watch of a stage runs where its deploy does, and so needs the forge's secrets there where a Deployment is its proof. */
function watchComplaints({ forge }: FileInput, services: readonly ServiceSettings[], check: SecretCheck): Complaint[] {
  const stages = services.flatMap((service) => service.stages);
  if (!stages.some(({ deploy, watch }) => deploy?.host !== undefined && watch?.deployment !== undefined)) return [];
  const { token, app } = gitHubSettings(forge) ?? {};
  const secrets = { token, 'app.id': app?.id, 'app.privateKey': app?.privateKey };
  return Object.entries(secrets).flatMap(([path, reference]) => {
    const message = reference === undefined ? undefined : check(reference);
    return message === undefined ? [] : [{ path: ['forge', 'github', ...path.split('.')], message }];
  });
}

function configurationOf(
  input: FileInput,
  listed: Pick<Configuration, 'services' | 'builds'>,
  file: string,
  env: Environment,
  kinds: Kinds,
): Configuration {
  const directory = dirname(file);
  const { publicUrl, search, registries = {}, audit, forge = {}, docker = {}, operators = [], notify = [] } = input;
  const { tls, ...listen } = input.listen;
  const data = resolve(directory, input.data);
  const endpoint = audit.endpoint ?? (env.LOGGING_ENDPOINT || undefined);
  return {
    kinds,
    file,
    directory,
    ...(publicUrl !== undefined && { publicUrl }),
    listen: { ...listen, ...(tls !== undefined && { tls: tlsFiles(tls, directory) }) },
    receivers: receiversOf(input, env, kinds),
    registries: Object.fromEntries(
      Object.entries(registries).map(([host, { search: searchEveryMs, ...registry }]) => [
        host,
        { ...registry, ...(searchEveryMs !== undefined && { searchEveryMs }) },
      ]),
    ),
    forge,
    temporal: temporalSettings(input.temporal ?? {}, env, directory),
    artifacts: resolve(directory, input.artifacts),
    data,
    sections: Object.fromEntries(
      Object.entries(input).filter(([key]) => kinds.checks.some(({ section }) => section?.key === key)),
    ),
    docker,
    limits: input.limits,
    ...(search !== 'off' && { searchEveryMs: search }),
    audit: {
      file: audit.file === undefined ? resolve(data, 'audit.jsonl') : resolve(directory, audit.file),
      bytes: audit.size,
      keep: audit.keep,
      ...(endpoint !== undefined && { endpoint }),
      ...(audit.plainHttp === true && { plainHttp: true }),
    },
    log: { level: input.log?.level ?? (/^(?:1|true|yes|on)$/i.test(env.DEBUG ?? '') ? 'debug' : 'info') },
    operators,
    login: input.login,
    notify,
    ...listed,
  };
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

function tlsFiles(tls: NonNullable<FileInput['listen']['tls']>, directory: string): Configuration['listen']['tls'] & {} {
  if (typeof tls === 'string') return { folder: resolve(directory, tls) };
  return { cert: resolve(directory, tls.cert), key: resolve(directory, tls.key) };
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
