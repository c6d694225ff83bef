import { secret } from '../../settings/scalars.ts';
import { defineNotifier } from '../notifier.ts';

/** A message in a channel of Discord, by a webhook. */
export const discordNotifier = defineNotifier({
  kind: 'discord',
  schema: (check) => secret(check).describe('Secret reference of the URL of a webhook of Discord.'),
  resolve: (url) => ({ settings: { url }, updates: 'rollout' }),
  create: async (context) => (await import('./notifier.ts')).createDiscord(context),
});
