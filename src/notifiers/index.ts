import { discordNotifier } from './discord/index.ts';
import { emailNotifier } from './email/index.ts';
import { githubNotifier } from './github/index.ts';
import { slackNotifier } from './slack/index.ts';
import { webhookNotifier } from './webhook/index.ts';

/** Every way to tell people, in the order in which messages list them. To add one: its folder, and a line here. */
export const notifiers = [slackNotifier, discordNotifier, webhookNotifier, emailNotifier, githubNotifier];
