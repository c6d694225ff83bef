import { randomBytes } from 'node:crypto';
import { type Call, ErrorReply, notFound, type Routes, visibleRepository } from '../routing.ts';
import * as shapes from '../shapes.ts';
import { type App, now } from '../state.ts';

/** What a GitHub App asks for with its JSON Web Token: https://docs.github.com/rest/apps/apps */

function appOf({ world, account }: Call): App {
  const app = world.apps.get(account.app ?? '');
  if (app === undefined) throw new ErrorReply(401, 'A JSON web token could not be decoded');
  return app;
}

async function repositoryInstallation(call: Call) {
  const app = appOf(call);
  const repository = visibleRepository(call);
  if (repository.owner.toLowerCase() !== app.owner.toLowerCase()) throw notFound();
  return { status: 200, body: installationShape(call, app, repository.createdAt) };
}

async function organizationInstallation(call: Call) {
  const app = appOf(call);
  if (call.parameters.org?.toLowerCase() !== app.owner.toLowerCase()) throw notFound();
  return { status: 200, body: installationShape(call, app, now()) };
}

function installationShape(call: Call, app: App, createdAt: string) {
  const url = `${call.world.url}/app/installations/${app.installation}`;
  return {
    id: app.installation,
    app_id: Number(app.id),
    app_slug: 'landfall',
    target_id: 1,
    target_type: 'Organization',
    account: shapes.user(call.world, app.owner),
    permissions: app.permissions,
    events: [],
    single_file_name: null,
    repository_selection: 'all',
    access_tokens_url: `${url}/access_tokens`,
    html_url: url,
    repositories_url: `${call.world.url}/installation/repositories`,
    created_at: createdAt,
    updated_at: createdAt,
    suspended_at: null,
    suspended_by: null,
  };
}

async function createInstallationToken(call: Call) {
  const app = appOf(call);
  if (Number(call.parameters.installation_id) !== app.installation) throw notFound();
  const token = `ghs_${randomBytes(18).toString('hex')}`;
  const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
  const owned = [...call.world.repositories.values()].filter(({ owner }) => owner.toLowerCase() === app.owner.toLowerCase());
  call.world.tokens.set(token, {
    login: 'landfall[bot]',
    // A token keeps what it was made with, whatever the app is granted later.
    permissions: { ...app.permissions },
    repositories: owned.map(({ fullName }) => fullName),
    installation: app.installation,
    expiresAt,
  });
  return { status: 201, body: { token, expires_at: expiresAt, permissions: app.permissions, repository_selection: 'all' } };
}

export const appRoutes: Routes = {
  'apps/get-repo-installation': { forApp: true, answer: repositoryInstallation },
  'apps/get-org-installation': { forApp: true, answer: organizationInstallation },
  'apps/create-installation-access-token': { forApp: true, answer: createInstallationToken },
};
