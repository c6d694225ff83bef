import { z } from 'zod';
import { isGitHubRepository, siteOfGitHub } from '../domain/github-repository.ts';
import { operatorRoles } from '../domain/person.ts';
import { isLoopbackHost } from '../domain/plain-http.ts';
import type { Complaint } from '../settings/problem.ts';
import { duration, parsed, type SecretCheck, secret, text, url } from '../settings/scalars.ts';
import { map, optional } from '../settings/wording.ts';
import { githubIssuer, idList, issuerUrl, textList } from '../sources/kit/settings.ts';

/** Who may log in at the operators' listener, and for how long. */

const groupList = z.array(text('the name of a group')).min(1);

const momentPattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z$/;
const moment = parsed('a time such as 2026-12-01T12:00:00Z, in UTC', momentPattern, (value) => {
  const date = new Date(value);
  return momentPattern.test(value) && !Number.isNaN(date.getTime()) ? date : undefined;
});

function oidc(check: SecretCheck) {
  return map(
    {
      issuer: url("the provider's issuer; its discovery is asked for beneath it"),
      clientId: text('the id of a client').describe('That Landfall has at the provider.'),
      clientSecret: optional(
        secret(check),
        'Of that client; without one it is a public client, and the code has PKCE all the same.',
      ),
      scopes: z.array(text('a scope', /^\S+$/)).describe('What is asked for.').default(['openid', 'profile', 'email']),
      name: text('the name of a claim').describe('The claim that names the person.').default('preferred_username'),
      groups: text('the name of a claim').describe('The claim that has the groups, as a list or a text.').default('groups'),
      roles: map(
        { view: groupList.exactOptional(), operate: groupList.exactOptional(), approve: groupList.exactOptional() },
        'Which groups have which role. Who is in none of them may not log in.',
      ).refine((roles) => Object.keys(roles).length > 0, {
        error: `expected groups for at least one of ${operatorRoles.join(', ')}, found none`,
      }),
      session: duration
        .describe('How long a login lasts until the provider is asked again, and with it for the groups.')
        .prefault('1h'),
    },
    'An OpenID Connect provider.',
  );
}

function jobs() {
  return map(
    {
      audience: textList('a text', 'What jobs request their tokens for, such as the URL of this Landfall.'),
      issuer: optional(
        issuerUrl('the issuer of tokens with the claims of GitHub Actions'),
        'Who vouches for jobs. Default: GitHub Actions of github.com; of a GitHub Enterprise Server https://HOST/_services/token.',
      ),
      refs: textList(
        'a ref such as refs/heads/main',
        'Refs whose jobs may push; * is any text. Default: the branch of the build. All others may do dry runs alone.',
      ).exactOptional(),
      repositoryIds: idList('Only jobs of repositories with these ids (repository_id).').exactOptional(),
    },
    'Jobs of CI, which have images built of their own repository, by their OIDC tokens.',
  );
}

export function login(check: SecretCheck, workers: SecretCheck) {
  return map(
    {
      url: optional(
        url('where people reach the operators’ listener'),
        'As browsers have it, through whatever proxy. With https:// the cookie is for https alone. Required for oidc.',
      ),
      session: duration.describe('How long a login with a token lasts, from the last use on.').prefault('8h'),
      key: optional(
        secret(workers),
        'Key of logins, the same in every api and worker: at least 32 characters. Default: one that Landfall makes, in the data folder.',
      ),
      notBefore: optional(moment, 'Logins from before do not count any more: for when a cookie was stolen.'),
      oidc: oidc(check).exactOptional(),
      jobs: jobs().exactOptional(),
    },
    "Logins at the operators' listener.",
  );
}

export type LoginInput = z.output<ReturnType<typeof login>>;

interface LoginContext {
  /** Temporal is a cluster, so that workers may be elsewhere, with another data folder. */
  readonly isCluster: boolean;
  /** The API of a GitHub that is not github.com. */
  readonly github: string | undefined;
  /** What builds are built from. */
  readonly repositories: readonly string[];
}

export function loginComplaints(login: LoginInput, context: LoginContext): Complaint[] {
  return [...oidcComplaints(login, context.isCluster), ...jobsComplaints(login, context)];
}

/** `team/app` is one repository at github.com, and another one elsewhere: jobs of the one build nothing of the other. */
function jobsComplaints({ jobs }: LoginInput, { github, repositories }: LoginContext): Complaint[] {
  if (jobs === undefined) return [];
  const [site, jobsAt] = [new URL(siteOfGitHub(github)).hostname, siteOfIssuer(jobs.issuer)];
  if (site === jobsAt) return [];
  if (jobs.issuer === undefined) {
    const message = `expected issuer beside forge.github.url (${github}), such as https://HOST/_services/token: repositories are at that GitHub, and the default vouches for jobs of github.com`;
    return [{ path: ['login', 'jobs'], message }];
  }
  // Where others are named by their URLs, it is those that are meant.
  if (repositories.length === 0 || !repositories.every(isGitHubRepository)) return [];
  const message = `expected the issuer of ${site}, where the builds' repositories are (owner/name: forge.github), found that of ${jobsAt}: name them by their URLs if they are there`;
  return [{ path: ['login', 'jobs', 'issuer'], message }];
}

/** The host that has the repositories whose jobs an issuer vouches for. */
export function siteOfIssuer(issuer = githubIssuer): string {
  return isOfGitHubCom(issuer) ? 'github.com' : new URL(issuer).hostname.replace(/^token\.actions\./, '');
}

/** An enterprise there may have an issuer of its own, beneath. */
export function isOfGitHubCom(issuer: string): boolean {
  return issuer === githubIssuer || issuer.startsWith(`${githubIssuer}/`);
}

function oidcComplaints({ url, oidc, key }: LoginInput, isCluster: boolean): Complaint[] {
  if (oidc === undefined) return [];
  const missing = (name: string, why: string) => [{ path: ['login', name], message: `expected ${name} beside oidc: ${why}` }];
  const issuer = new URL(oidc.issuer);
  const isOpen = issuer.protocol === 'http:' && !isLoopbackHost(issuer.hostname);
  const https = 'expected a URL that begins with https://, or that of a provider on this machine';
  return [
    ...(url === undefined ? missing('url', 'the provider sends people back there') : []),
    ...(isCluster && key === undefined
      ? missing('key', 'workers elsewhere check with it what people say who have logged in')
      : []),
    ...(isOpen ? [{ path: ['login', 'oidc', 'issuer'], message: https }] : []),
  ];
}
