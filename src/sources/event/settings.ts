import { z } from 'zod';
import { isIssuerUrl } from '../../http/oidc/issuer-url.ts';
import { text, url } from '../../settings/scalars.ts';
import { map, oneOrMany } from '../../settings/wording.ts';

/** Issuer of the tokens of GitHub Actions at github.com. */
export const githubIssuer = 'https://token.actions.githubusercontent.com';

/** What a user says of `receivers.event`. */
export function eventSettings() {
  return map(
    {
      audience: textList('a text', 'What jobs request their tokens for, such as the URL of this Landfall.'),
      issuers: z
        .array(issuer)
        .min(1)
        .meta({ description: 'Who vouches for jobs. Default: GitHub Actions of github.com.' })
        .exactOptional(),
      owners: owners.exactOptional(),
      repositories: patterns('repositories, such as team/app or team/*').exactOptional(),
      refs: patterns('refs, such as refs/heads/main or refs/tags/v*').exactOptional(),
      workflows: patterns('files of workflows, such as release.yml').exactOptional(),
      imagePrefix: textList('the beginning of images', 'What images have to begin with, such as ghcr.io/team/ (with the slash).'),
    },
    'Jobs of CI, with their OIDC tokens, on POST /event.',
  ).refine((settings) => settings.owners !== undefined || settings.issuers?.every((one) => one.owners !== undefined), {
    error: 'expected owners, here or at every issuer: otherwise every job of GitHub could tell of pushes',
  });
}

/** One text, or a list of which any will do. */
export function textList(expected: string, description: string) {
  return oneOrMany(text(expected), expected)
    .transform((value): readonly string[] => (typeof value === 'string' ? [value] : value))
    .meta({ description });
}

/** An issuer of tokens; its keys are fetched from there. */
export function issuerUrl(what: string) {
  return url(what).refine(isIssuerUrl, { error: 'expected a URL that begins with https://, without user, password, ? and #' });
}

const owners = textList(
  'the name of an owner',
  'Owners of repositories whose jobs are believed. Compared whole, without regard to case.',
);

function patterns(what: string) {
  return textList('a text', `Only jobs of these ${what}; * is any text.`);
}

const issuer = z.union(
  [
    map(
      {
        github: z.union([z.literal(true), issuerUrl('the issuer of a GitHub Enterprise')], {
          error: 'expected true, or the URL of the issuer of a GitHub Enterprise',
        }),
        owners: owners.exactOptional(),
      },
      'GitHub Actions.',
    ),
    map({ gitlab: issuerUrl('a GitLab'), owners: owners.exactOptional() }, 'GitLab CI.'),
  ],
  {
    error:
      'expected {github: true}, {github: URL} or {gitlab: URL}, each with owners where it has its own, and URLs with https://',
  },
);
