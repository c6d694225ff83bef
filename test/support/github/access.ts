import { verify } from 'node:crypto';
import { ErrorReply, type Route } from './routing.ts';
import type { Account, Permissions, World } from './state.ts';

/** Everything that a token of Landfall's could need. */
export const allPermissions: Permissions = {
  actions: 'write',
  administration: 'write',
  checks: 'write',
  contents: 'write',
  deployments: 'write',
  issues: 'write',
  organization_hooks: 'write',
  pull_requests: 'write',
  repository_hooks: 'write',
  statuses: 'write',
};

/** Who asks. @throws ErrorReply 401 */
export function authenticate(world: World, authorization: string | undefined): Account {
  const token = /^(?:bearer|token) +(.+)$/i.exec(authorization ?? '')?.[1];
  if (token === undefined) throw new ErrorReply(401, 'Requires authentication');
  const account = token.split('.').length === 3 ? appAccount(world, token) : world.tokens.get(token);
  const expired = account?.expiresAt !== undefined && Date.parse(account.expiresAt) < Date.now();
  if (account === undefined || expired) throw new ErrorReply(401, 'Bad credentials');
  return account;
}

/** The app that signed a JSON Web Token (RS256), which may be valid for ten minutes at most. */
function appAccount(world: World, token: string): Account | undefined {
  const [header = '', payload = '', signature = ''] = token.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as { iss: string | number; exp: number };
  const app = world.apps.get(String(claims.iss));
  if (app === undefined) return undefined;
  const signed = verify('sha256', Buffer.from(`${header}.${payload}`), app.publicKey, Buffer.from(signature, 'base64url'));
  const seconds = claims.exp - Date.now() / 1000;
  return signed && seconds > 0 && seconds <= 600 ? { login: 'landfall[bot]', permissions: {}, app: app.id } : undefined;
}

/** @throws ErrorReply where the account may not use the route */
export function authorize(account: Account, route: Route, repository: string | undefined): void {
  if (route.forApp) {
    if (account.app === undefined) throw new ErrorReply(401, 'A JSON web token could not be decoded');
    return;
  }
  if (account.app !== undefined) throw new ErrorReply(403, 'Resource not accessible by integration');
  const needs = route.needs ?? [];
  if (needs.length === 0) return;
  const mayWrite =
    account.repositories?.some((name) => [undefined, name.toLowerCase()].includes(repository?.toLowerCase())) ?? true;
  const allowed = needs.some((need) => {
    const [permission = '', level] = need.split('=');
    const granted = account.permissions[permission];
    return granted === 'write' ? mayWrite || level === 'read' : granted === level;
  });
  if (!allowed) throw new PermissionMissing(account, needs);
}

class PermissionMissing extends ErrorReply {
  constructor(account: Account, needs: readonly string[]) {
    super(403, `Resource not accessible by ${account.installation === undefined ? 'personal access token' : 'integration'}`);
    Object.assign(this.reply, { headers: { 'x-accepted-github-permissions': needs.join('; ') } });
  }
}
