import type { JWTPayload } from 'jose';
import type { Configuration } from '../../config/configuration.ts';
import { isOfGitHubCom, siteOfIssuer } from '../../config/login.ts';
import type { BuildCause } from '../../contracts/messages.ts';
import { isFullCommit } from '../../domain/commit.ts';
import { isGitHubRepository } from '../../domain/github-repository.ts';
import type { Log } from '../../domain/log.ts';
import { gitHubActor, textClaim } from '../../http/oidc/claims.ts';
import { KeysUnavailable } from '../../http/oidc/issuer-keys.ts';
import { createTokenVerifier, TokenRefused } from '../../http/oidc/token-verifier.ts';
import { unavailable } from '../../http/problem.ts';
import { githubIssuer } from '../../sources/kit/settings.ts';

/** A job of CI, as its issuer vouches for it: https://docs.github.com/actions/reference/security/oidc */
export interface Job {
  /** For people: `job team/app (run 123)`. */
  readonly name: string;
  /** `owner/name` */
  readonly repository: string;
  /** Where that is: `https://github.com/owner/name` */
  readonly address: string;
  /** `refs/heads/main` */
  readonly ref: string;
  /** Full. */
  readonly commit: string;
  /** The same for whatever one attempt of one run asks for. */
  readonly run: string;
  readonly actor: Pick<BuildCause, 'actor' | 'proven'>;
}

/** Why a token is none of a job that may ask. */
interface JobRefused {
  readonly refused: string;
}

/** Whose a token is that looks like one of a job. @throws Problem 503 where the keys of its issuer are not to be had */
export type ReadJob = (token: string) => Promise<Job | JobRefused>;

interface JobDependencies {
  readonly log: Log;
  /** Default: the clock. */
  readonly now?: () => number;
}

/** @returns undefined where no job may ask for anything */
export function createReadJob(
  { jobs }: Pick<Configuration['login'], 'jobs'>,
  { log, now = Date.now }: JobDependencies,
): ReadJob | undefined {
  if (jobs === undefined) return undefined;
  const { audience, issuer = githubIssuer, repositoryIds } = jobs;
  const verify = createTokenVerifier({ issuers: [{ url: issuer }], audiences: audience, log, now });
  return async (token) => {
    try {
      const { claims } = await verify(token);
      const id = textClaim(claims.repository_id);
      if (repositoryIds !== undefined && (id === undefined || !repositoryIds.includes(id)))
        return refused('its repository_id is none of login.jobs.repositoryIds');
      return jobOf(claims, issuer) ?? refused('expected the claims repository, ref, sha and run_id of a job');
    } catch (error) {
      if (error instanceof TokenRefused) return refused(error.message);
      if (!(error instanceof KeysUnavailable)) throw error;
      log.warn({ reason: error.message }, 'the token of a job cannot be verified');
      throw unavailable('The token of the job cannot be verified now: its issuer does not answer. Send it again later.');
    }
  };
}

/** A token of an operator has no such form, unless somebody chose it so. */
export function looksLikeJob(token: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token);
}

function refused(why: string): JobRefused {
  return { refused: `The token of the job is refused: ${why}. Compare it with login.jobs.` };
}

function jobOf(claims: JWTPayload, issuer: string): Job | undefined {
  const repository = textClaim(claims.repository);
  const [ref, commit, run] = [textClaim(claims.ref), textClaim(claims.sha), textClaim(claims.run_id)];
  const attempt = textClaim(claims.run_attempt) ?? '1';
  if (repository === undefined || !isGitHubRepository(repository)) return undefined;
  if (ref === undefined || commit === undefined || !isFullCommit(commit) || !/^\d{1,30}$/.test(run ?? '')) return undefined;
  return {
    name: `job ${repository} (run ${run})`,
    ...{ repository, ref, commit, run: `${run}-${/^\d{1,6}$/.test(attempt) ? attempt : '1'}` },
    address: `https://${siteOfIssuer(issuer)}/${repository}`,
    actor: actorOf(claims, issuer),
  };
}

/** Approvers are known by their accounts at GitHub, so a user of something else is none of them. */
function actorOf(claims: JWTPayload, issuer: string): Job['actor'] {
  const actor = textClaim(claims.actor)?.slice(0, 100);
  if (actor === undefined) return {};
  if (!isOfGitHubCom(issuer) && !issuer.endsWith('/_services/token')) return { actor };
  return { actor, proven: { by: 'token', fields: ['actor'], ...gitHubActor(claims) } };
}
