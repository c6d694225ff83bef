import assert from 'node:assert/strict';
import { type FailureType, RateLimit, Refusal } from '../../src/domain/failures.ts';
import type { ChangeRequest, FilesCommit, FileText, Forge } from '../../src/forges/forge.ts';
import { createGitHubForge } from '../../src/forges/github/forge.ts';
import { createGitHubClients, type GitHubCredentials } from '../../src/platform/github/client.ts';
import { type GitHub, type GitHubOptions, startGitHub, token } from './github/server.ts';

/** A deployment repository on the GitHub emulator, the forge that works on it, and what tests of the two say again and again. */

export const fullName = 'Team/deployment';
export const file = 'docker-compose.yml';
export const before = '# production\nservices:\n  web:\n    image: ghcr.io/team/web:1.0\n';
export const after = before.replace('1.0', '1.1');

export interface Warning {
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

export interface Setting {
  readonly github: GitHub;
  readonly forge: Forge;
  readonly warnings: Warning[];
  /** The head of main. */
  readonly base: string;
}

/** Whoever starts it stops `github`. */
export async function startDeployment(options: GitHubOptions = {}): Promise<Setting> {
  const github = await startGitHub(options);
  await github.createRepository(fullName, { files: { [file]: before }, collaborators: ['ann', 'bob'], teams: ['deployers'] });
  const warnings: Warning[] = [];
  const forge = forgeOf(github, { token }, {}, warnings);
  const base = await forge.head(fullName, 'main');
  assert.ok(base);
  return { github, forge, warnings, base };
}

export function forgeOf(
  github: GitHub,
  credentials: GitHubCredentials,
  options: { timeoutMs?: number } = {},
  warnings: Warning[] = [],
): Forge {
  const { clientFor } = createGitHubClients(credentials, { url: github.url, ...options });
  const log = { warn: (fields: object, message: string) => warnings.push({ fields: { ...fields }, message }) };
  return createGitHubForge({ clientFor, log });
}

export const branch = 'landfall/web-production';

export function firstCommit(
  { base }: Pick<Setting, 'base'>,
  { path = file, text = after, ...more }: Partial<FilesCommit & FileText> = {},
): FilesCommit {
  const message = 'chore: update web image\n\nLandfall-Rollout: rollout:web:1.1:abc';
  return { repository: fullName, branch, parents: [base], treeOf: base, files: [{ path, text }], message, ...more };
}

export function change(head: string, more: Partial<ChangeRequest> = {}): ChangeRequest {
  const texts = { title: '🚀 Auto-update: web image', body: 'line one\nline two\n' };
  return { repository: fullName, base: 'main', branch, head, ...texts, labels: [], reviewers: [], assignees: [], ...more };
}

/** Makes a branch with one commit of Landfall's. */
export async function proposed(setting: Setting): Promise<string> {
  return setting.forge.commitFiles(firstCommit(setting));
}

export function count(github: GitHub, operation: string, status = 201): number {
  return github.requests.filter((request) => request.operation === operation && request.status === status).length;
}

export function pulls(github: GitHub) {
  return github.repository(fullName).pulls;
}

export function refused(type: FailureType, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof Refusal, String(error));
    assert.equal(error.type, type);
    assert.match(error.message, message);
    return true;
  };
}

/** An ordinary error, and one that says what happened: no stumbling over an answer that is not there. */
export function broken(error: unknown): boolean {
  assert.ok(error instanceof Error && !(error instanceof TypeError), String(error));
  assert.ok(!(error instanceof Refusal || error instanceof RateLimit), `expected an ordinary error, found ${error}`);
  return true;
}
