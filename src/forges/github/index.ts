import { z } from 'zod';
import { isGitHubRepository } from '../../domain/github-repository.ts';
import { needsGitHub } from '../../settings/github.ts';
import {
  demandTls,
  githubRepository,
  plainHttp,
  type SecretCheck,
  secret,
  text,
  textOrSecret,
  url,
} from '../../settings/scalars.ts';
import { map, optional, showValue } from '../../settings/wording.ts';
import { defineForge } from '../forge.ts';

const hook = z.union(
  [
    githubRepository.transform((repository) => ({ repository })),
    text('a GitHub organization', /^[A-Za-z0-9][A-Za-z0-9-]{0,38}$/).transform((organization) => ({ organization })),
  ],
  { error: (issue) => `expected owner/name or an organization, whose webhooks are meant, found ${showValue(issue.input)}` },
);

function gitHubSchema(check: SecretCheck) {
  const app = map(
    {
      id: z
        .union([z.int(), textOrSecret(check)], { error: 'expected the number of a GitHub App, or env:NAME' })
        .transform(String)
        .meta({ description: 'The id of the App (or its client id).' }),
      privateKey: secret(check).meta({ description: 'Its private key in PEM.' }),
      installationId: optional(z.int().min(1), 'Default: the installation that has the repository.'),
    },
    'A GitHub App.',
  );
  return map(
    {
      token: optional(
        secret(check),
        'A token that may read and write Contents and Pull requests (classic: repo); and Commit statuses, if the commit is to show the checks.',
      ),
      app: app.exactOptional(),
      url: url("the base of GitHub's REST API; for GitHub Enterprise Server https://HOST/api/v3").exactOptional(),
      plainHttp: plainHttp.exactOptional(),
      hooks: optional(z.array(hook).min(1), 'Webhooks of Landfall whose failed deliveries GitHub is asked to send again.'),
    },
    'GitHub, by token or as an App.',
  )
    .refine((value) => (value.token === undefined) !== (value.app === undefined), { error: 'expected either token or app' })
    .superRefine(demandTls('url'));
}

/** GitHub: a proposal is a pull request, and what the checks said are statuses of its head. */
export const gitHubForge = defineForge({
  kind: 'github',
  section: { schema: gitHubSchema, needed: needsGitHub },
  reviews: true,
  accepts: isGitHubRepository,
  async create(context) {
    const { createGitHubForge } = await import('./forge.ts');
    return createGitHubForge(context);
  },
});
