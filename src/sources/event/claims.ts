import type { JWTPayload } from 'jose';
import { RE2JS } from 're2js';
import { type Authenticity, refused, type SenderIdentity, withoutBuild } from '../../http/authentication.ts';
import { gitHubActor, textClaim } from '../../http/oidc/claims.ts';
import type { VerifiedToken } from '../../http/oidc/token-verifier.ts';
import { asciiLowerCase } from '../kit/image.ts';
import { originIn } from '../kit/reading.ts';

/** Which jobs of an issuer may tell of pushes. What is absent is not asked for. */
export interface AllowedJobs {
  readonly kind: 'github' | 'gitlab';
  /** Compared whole, without regard to case. A group of GitLab stands for its subgroups too. Empty: only the ids count. */
  readonly owners: readonly string[];
  /** A name may be somebody else's after a rename; an id never is. */
  readonly ownerIds?: readonly string[] | undefined;
  readonly repositoryIds?: readonly string[] | undefined;
  /** Patterns, in which `*` is any text. */
  readonly repositories?: readonly string[] | undefined;
  readonly refs?: readonly string[] | undefined;
  readonly workflows?: readonly string[] | undefined;
}

/** Whether the job that a token was made for may tell of pushes. */
export function judgeJob(token: VerifiedToken, allowed: AllowedJobs): Authenticity {
  const job = allowed.kind === 'github' ? githubJob(token.claims) : gitlabJob(token);
  const wrong = (what: string) => refused(`the token is refused: ${what} is none of those allowed`);
  if ((allowed.owners.length > 0 || allowed.ownerIds === undefined) && !isOwnedByOneOf(job.owner, allowed)) {
    return wrong(`its owner (${allowed.kind === 'github' ? 'repository_owner' : 'namespace_path'})`);
  }
  const { repositories, refs, workflows, ownerIds, repositoryIds } = allowed;
  if (!isOneOfIds(ownerIds, job.ownerId)) return wrong('the id of its owner');
  if (!isOneOfIds(repositoryIds, job.repositoryId)) return wrong('the id of its repository');
  if (!matchesOneOf(repositories?.map(asciiLowerCase), [job.repository && asciiLowerCase(job.repository)]))
    return wrong('its repository');
  if (!matchesOneOf(refs, [job.ref])) return wrong('its ref');
  if (!matchesOneOf(workflows, spellingsOfWorkflow(job.workflow))) return wrong('its workflow');
  const identity = provenBy(allowed.kind, job.identity, token.claims);
  return { authentic: true, identity: job.passesOn ? withoutBuild(identity) : identity, byHand: job.byHand };
}

/** Its issuer vouches for all of it. Operators are known by their accounts at GitHub, so a user of GitLab is none of them. */
function provenBy(kind: AllowedJobs['kind'], identity: SenderIdentity, claims: JWTPayload): SenderIdentity {
  const fields = (['commit', 'sourceRepository', 'actor'] as const).filter((field) => identity[field] !== undefined);
  const actor = kind === 'github' && identity.actor !== undefined ? gitHubActor(claims) : {};
  return fields.length === 0 ? identity : { ...identity, proven: { by: 'token', fields, ...actor } };
}

/** @see https://docs.github.com/actions/reference/security/oidc */
function githubJob(claims: JWTPayload) {
  const repository = textClaim(claims.repository);
  return {
    owner: textClaim(claims.repository_owner),
    ownerId: textClaim(claims.repository_owner_id),
    repository,
    repositoryId: textClaim(claims.repository_id),
    ref: textClaim(claims.ref),
    /** `owner/name/.github/workflows/release.yml@refs/heads/main`, or GitLab's `host/group/name//.gitlab-ci.yml@refs/heads/main` */
    workflow: textClaim(claims.workflow_ref),
    identity: identityOf(claims.sha, repository, claims.actor, claims.run_id),
    byHand: claims.event_name === 'workflow_dispatch',
    /** Another repository has built the image, and told this one. */
    passesOn: claims.event_name === 'repository_dispatch',
  };
}

/** @see https://docs.gitlab.com/ci/secrets/id_token_authentication/#token-payload */
function gitlabJob({ issuer, claims }: VerifiedToken): ReturnType<typeof githubJob> {
  const repository = textClaim(claims.project_path);
  const isOfRef = !mayBeOfMergeRequest(claims);
  const configuration = textClaim(claims.ci_config_ref_uri);
  const name = textClaim(claims.ref);
  const build = claims.job_id ?? claims.pipeline_id;
  return {
    owner: textClaim(claims.namespace_path),
    ownerId: textClaim(claims.namespace_id),
    repository,
    repositoryId: textClaim(claims.project_id),
    // Older versions of GitLab have only the short name.
    ref: isOfRef
      ? (textClaim(claims.ref_path) ?? (name && `refs/${claims.ref_type === 'tag' ? 'tags' : 'heads'}/${name}`))
      : undefined,
    workflow: isOfRef ? configuration : configuration && fileOf(configuration),
    identity: identityOf(claims.sha, repository && `${issuer}/${repository}`, claims.user_login, build),
    byHand: claims.pipeline_source === 'web',
    passesOn: false,
  };
}

/**
 * GitLab says of the pipeline of a merge request that its ref is the branch that it comes from, and that may be the `main` of a fork.
 * Pipelines that such a one starts look the same, but for the source; only in a protected branch there are none.
 * @see https://gitlab.com/gitlab-org/gitlab/-/blob/master/app/models/ci/pipeline.rb (source_ref_path)
 */
function mayBeOfMergeRequest({ pipeline_source: source, ref_type: type, ref_protected: isProtected }: JWTPayload): boolean {
  return source === 'merge_request_event' || (source === 'parent_pipeline' && type !== 'tag' && isProtected !== 'true');
}

function identityOf(sha: unknown, repository: string | undefined, actor: unknown, build: unknown): SenderIdentity {
  const buildId = typeof build === 'number' ? String(build) : textClaim(build);
  return {
    ...originIn({ commit: textClaim(sha), sourceRepository: repository, actor: textClaim(actor) }),
    ...(buildId !== undefined && /^\d{1,30}$/.test(buildId) && { buildId }),
  };
}

function isOwnedByOneOf(owner: string | undefined, { kind, owners }: AllowedJobs): boolean {
  if (owner === undefined) return false;
  const given = asciiLowerCase(owner);
  return owners.map(asciiLowerCase).some((known) => given === known || (kind === 'gitlab' && given.startsWith(`${known}/`)));
}

function isOneOfIds(ids: readonly string[] | undefined, id: string | undefined): boolean {
  return ids === undefined || (id !== undefined && ids.includes(id));
}

/** As the whole, and as `.github/workflows/release.yml` and `release.yml`. Its name is not looked at: any file can claim any name. */
function spellingsOfWorkflow(workflow: string | undefined): readonly (string | undefined)[] {
  const file = workflow && fileOf(workflow);
  const path = file?.includes('//') ? file.slice(file.indexOf('//') + 2) : file?.split('/').slice(2).join('/');
  return [workflow, path, path?.slice(path.lastIndexOf('/') + 1)];
}

/** Names of files may have an @ as well. */
function fileOf(workflow: string): string {
  const [file = ''] = workflow.split('@refs/', 1);
  return file;
}

function matchesOneOf(patterns: readonly string[] | undefined, values: readonly (string | undefined)[]): boolean {
  if (patterns === undefined) return true;
  return values.some((value) => value !== undefined && value !== '' && patterns.some((pattern) => matches(pattern, value)));
}

/** By RE2, which takes no longer for one pattern than for another. */
function matches(pattern: string, value: string): boolean {
  const literals = pattern.split('*').map((literal) => RE2JS.quote(literal));
  return RE2JS.matches(`(?s)${literals.join('.*')}`, value);
}
