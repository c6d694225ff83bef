import { z } from 'zod';
import { demandTls, plainHttp, type SecretCheck, secret, text, url } from '../../settings/scalars.ts';
import { expecting, map, showValue } from '../../settings/wording.ts';
import { defineNotifier } from '../notifier.ts';
import type { SlackTarget } from './notifier.ts';

/** A message in a channel of Slack, by an incoming webhook or by a bot. */
export const slackNotifier = defineNotifier({
  kind: 'slack',
  schema: slackSchema,
  resolve: (settings) => ({ settings, ...('token' in settings && { updates: 'rollout' }) }),
  create: async (context) => (await import('./notifier.ts')).createSlack(context),
});

function slackSchema(check: SecretCheck) {
  const bot = map(
    {
      token: secret(check).describe('Secret reference of a bot token with the scope chat:write.'),
      channel: text('a channel').describe('The channel, best by its id.'),
      api: url("the base of Slack's Web API").exactOptional(),
      plainHttp: plainHttp.exactOptional(),
    },
    'A bot of Slack, which can update its message and thread what follows.',
  ).superRefine(demandTls('api'));
  return z
    .union(
      [secret(check).transform((reference): SlackTarget => ({ url: reference })), bot],
      expecting('env:NAME or file:PATH of the URL of an incoming webhook, or a map (token, channel)', (found) =>
        typeof found === 'string' ? 'text' : showValue(found),
      ),
    )
    .describe('Slack: the secret reference of the URL of an incoming webhook, or a bot.');
}
