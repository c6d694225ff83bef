import { z } from 'zod';
import { type SecretCheck, secret, text, url } from '../../settings/scalars.ts';
import { map, showValue } from '../../settings/wording.ts';

/** What the configuration says of Slack. */

/** An incoming webhook can only add messages; a bot token can update and thread them. Addresses of webhooks and tokens are references. */
export type SlackTarget =
  | { readonly url: string }
  | {
      readonly token: string;
      readonly channel: string;
      /** Base of the Web API; absent: https://slack.com/api */
      readonly api?: string;
    };

export function slackSchema(check: SecretCheck) {
  return z
    .union(
      [
        secret(check).transform((reference): SlackTarget => ({ url: reference })),
        map(
          {
            token: secret(check).meta({ description: 'Secret reference of a bot token with the scope chat:write.' }),
            channel: text('a channel').meta({ description: 'The channel, best by its id.' }),
            api: url("the base of Slack's Web API").exactOptional(),
          },
          'A bot of Slack, which can update its message and thread what follows.',
        ),
      ],
      {
        error: (issue) =>
          `expected env:NAME or file:PATH of the URL of an incoming webhook, or a map (token, channel), found ${typeof issue.input === 'string' ? 'text' : showValue(issue.input)}`,
      },
    )
    .meta({ description: 'Slack: the secret reference of the URL of an incoming webhook, or a bot.' });
}
