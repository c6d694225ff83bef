import { defineNotifier } from '../notifier.ts';
import { type SlackTarget, slackSchema } from './plan.ts';

/** A message in a channel of Slack, by an incoming webhook or by a bot. */
export const slackNotifier = defineNotifier({
  kind: 'slack',
  schema: slackSchema,
  resolve: (settings: SlackTarget) => ({ settings, ...('token' in settings && { updates: 'rollout' }) }),
  async create(context) {
    const { createSlack } = await import('./notifier.ts');
    return createSlack(context);
  },
});
