import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Configuration } from '../../config/configuration.ts';
import { hashOfToken, isTokenHash } from '../../domain/decision-proof.ts';
import { nameOfPerson, type OperatorEntry, type OperatorRole, operatorRoles, typedName } from '../../domain/person.ts';
import { isLoopbackHost } from '../../domain/plain-http.ts';
import { bearerIn } from '../../http/authentication.ts';
import type { Actor } from '../../operations/index.ts';
import { type Job, looksLikeJob, type ReadJob } from './jobs.ts';
import type { LoginSession, Sessions } from './sessions.ts';

/** Who asks the operators' listener for something. */
export interface Asker {
  readonly name: string;
  /** `unverified`: somebody on this machine, where nobody can log in. `job`: no person, but a job of CI, which has no roles. */
  readonly way: 'token' | 'oidc' | 'unverified' | 'job';
  readonly roles: readonly OperatorRole[];
  /** As whom decisions are made. */
  readonly actor: Actor;
  /** By a cookie, which a browser sends along whoever made the page: see http/origin.ts. */
  readonly byCookie: boolean;
  readonly job?: Job;
}

/** As decisions show it: `ann`, `ann (oidc)`, `ann (unverified)`. */
export function shownName({ name, way, actor }: Asker): string {
  return nameOfPerson({ by: name, verified: way !== 'unverified', ...(actor.login !== undefined && { login: actor.login }) });
}

export interface AskerDependencies {
  /** As it is now: it may be read again. */
  readonly configuration: () => Pick<Configuration, 'operators' | 'login'>;
  readonly secrets: (reference: string) => string;
  readonly sessions: Sessions;
  /** By which workers know what this API vouches for. */
  readonly vouchKey: () => Promise<string>;
  /** Absent, or without one: a job is nobody. */
  readonly readJob?: () => ReadJob | undefined;
  readonly log: { warn(fields: object, message: string): void };
}

/** Why nobody is known. */
export interface NobodyKnown {
  readonly refused: string;
}

export type WhoAsks = (request: IncomingMessage) => Promise<Asker | NobodyKnown>;

const howToLogIn = 'Send Authorization: Bearer TOKEN with the token of an operator, or log in at /login.';

/** A bearer token counts before a cookie. Nothing is open but to this machine, and only while nobody can log in. */
export function createWhoAsks(dependencies: AskerDependencies): WhoAsks {
  return async (request) => {
    const token = bearerIn(request);
    if (token !== undefined) return await byToken(dependencies, token);
    const session = await dependencies.sessions.read(request);
    if (session !== undefined) return await bySession(dependencies, session);
    if (canLogIn(dependencies.configuration())) return { refused: howToLogIn };
    if (isOfThisMachine(request)) return unverified(request);
    return {
      refused: 'There are no operators with a token in the configuration, so only this machine may ask. Add some, or a login.',
    };
  };
}

/** Where jobs can reach it, it is not for this machine alone. */
function canLogIn({ operators, login }: Pick<Configuration, 'operators' | 'login'>): boolean {
  return login.oidc !== undefined || login.jobs !== undefined || operators.some(({ token }) => token !== undefined);
}

/** @returns the operator whose token it is, without telling by the time that it takes which one, or none */
export async function operatorOf(
  { configuration, secrets, log }: Pick<AskerDependencies, 'configuration' | 'secrets' | 'log'>,
  token: string,
): Promise<{ readonly operator: OperatorEntry; readonly tokenHash: string } | undefined> {
  const wanted = Buffer.from(await hashOfToken(token));
  let found: { readonly operator: OperatorEntry; readonly tokenHash: string } | undefined;
  for (const operator of configuration().operators) {
    const tokenHash = hashOf(operator, secrets, log);
    if (tokenHash !== undefined && timingSafeEqual(Buffer.from(tokenHash), wanted)) found ??= { operator, tokenHash };
  }
  return found;
}

function hashOf(
  { name, token }: OperatorEntry,
  secrets: AskerDependencies['secrets'],
  log: AskerDependencies['log'],
): string | undefined {
  if (token === undefined) return undefined;
  try {
    const hash = secrets(token);
    if (isTokenHash(hash)) return hash;
    log.warn({ operator: name }, 'an operator cannot log in: expected sha256: and 64 hex digits as the hash of the token');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    log.warn({ operator: name, reason }, 'an operator cannot log in: the hash of the token is missing');
  }
  return undefined;
}

async function byToken(dependencies: AskerDependencies, token: string): Promise<Asker | NobodyKnown> {
  const found = await operatorOf(dependencies, token);
  const readJob = dependencies.readJob?.();
  if (found === undefined && readJob !== undefined && looksLikeJob(token)) return askerOf(await readJob(token));
  if (found === undefined) return { refused: `The token is nobody's here. ${howToLogIn}` };
  return operatorAsks(found.operator, found.tokenHash, false);
}

function askerOf(job: Awaited<ReturnType<ReadJob>>): Asker | NobodyKnown {
  if ('refused' in job) return job;
  const { name } = job;
  return { name, way: 'job', roles: [], actor: { name }, byCookie: false, job };
}

function operatorAsks({ name, roles }: OperatorEntry, tokenHash: string, byCookie: boolean): Asker {
  return { name, way: 'token', roles: withView(roles), actor: { name, tokenHash }, byCookie };
}

async function bySession(dependencies: AskerDependencies, session: LoginSession): Promise<Asker | NobodyKnown> {
  const { secrets, log, vouchKey } = dependencies;
  const { operators, login } = dependencies.configuration();
  const { name } = session;
  if (session.way === 'oidc') {
    // Names and groups of one provider say nothing at another.
    const isSame = session.issuer === login.oidc?.issuer;
    if (!isSame)
      return { refused: `${name} has logged in at ${session.issuer}, which is not login.oidc.issuer now. ${howToLogIn}` };
    const roles = rolesOf(session.groups, login);
    if (roles.length === 0) return { refused: `${name} is in no group that may do anything here (login.oidc.roles).` };
    return { name, way: 'oidc', roles, actor: { name, login: 'oidc', tokenHash: await vouchKey() }, byCookie: true };
  }
  // A token that was changed, or taken away, ends what was logged in with it.
  const operator = operators.find((known) => known.name === name);
  const tokenHash = operator && hashOf(operator, secrets, log);
  const isSame = tokenHash !== undefined && fingerprintOf(tokenHash) === session.token;
  if (operator === undefined || !isSame) return { refused: `The token of ${name} was changed. ${howToLogIn}` };
  return operatorAsks(operator, tokenHash, true);
}

/** Of the hash of a token, for a cookie. */
export function fingerprintOf(tokenHash: string): string {
  return createHash('sha256').update(`landfall session ${tokenHash}`).digest('base64url').slice(0, 22);
}

/** What somebody may do who is in these groups. */
export function rolesOf(groups: readonly string[], { oidc }: Configuration['login']): readonly OperatorRole[] {
  const has = (role: OperatorRole) => oidc?.roles[role]?.some((group) => groups.includes(group)) ?? false;
  const found = operatorRoles.filter(has);
  return found.length === 0 ? [] : withView(found);
}

/** Who may change something has to see it. */
function withView(roles: readonly OperatorRole[]): readonly OperatorRole[] {
  return operatorRoles.filter((role) => (role === 'view' ? roles.length > 0 : roles.includes(role)));
}

/** Headers by which a proxy says that somebody else asks. */
const forwarded = [
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-prefix',
  'x-forwarded-proto',
  'x-real-ip',
  'via',
];

function isOfThisMachine({ socket, headers }: IncomingMessage): boolean {
  const address = socket.remoteAddress?.replace(/^::ffff:/, '') ?? '';
  if (forwarded.some((name) => headers[name] !== undefined)) return false;
  return isLoopbackHost(address === '::1' ? '[::1]' : address);
}

/** As the command takes a name that was typed. */
function unverified({ headers }: IncomingMessage): Asker {
  const typed = headers['landfall-operator'];
  const name = typeof typed === 'string' && typed.trim() !== '' ? typedName(typed) : 'somebody on this machine';
  return { name, way: 'unverified', roles: operatorRoles, actor: { name }, byCookie: false };
}
