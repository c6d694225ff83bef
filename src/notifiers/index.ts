import type { NotifierPlan } from '../domain/plan.ts';
import { createDiscord } from './discord/notifier.ts';
import { createEmail, type EmailDependencies } from './email/notifier.ts';
import { createGitHubNotifier, type GitHubNotifierDependencies } from './github/notifier.ts';
import type { Delivery, MessageIds, Notifier, NotifierKind } from './notifier.ts';
import { createSlack } from './slack/notifier.ts';
import { createWebhook } from './webhook/notifier.ts';

export type NotifierDependencies = EmailDependencies & GitHubNotifierDependencies;

/** Every kind of target that can be configured. */
function createNotifiers(dependencies: NotifierDependencies): { readonly [Kind in NotifierKind]: Notifier<Kind> } {
  return {
    slack: createSlack(dependencies),
    discord: createDiscord(dependencies),
    webhook: createWebhook(dependencies),
    email: createEmail(dependencies),
    github: createGitHubNotifier(dependencies),
  };
}

/** Sends a notice to whatever kind of target it is for. Errors: see `Notifier`. */
export function createSender(dependencies: NotifierDependencies): (delivery: AnyDelivery) => Promise<MessageIds | undefined> {
  const notifiers = createNotifiers(dependencies);
  return async ({ notifier, ...rest }) => {
    switch (notifier.kind) {
      case 'slack':
        return notifiers.slack.send({ notifier, ...rest });
      case 'discord':
        return notifiers.discord.send({ notifier, ...rest });
      case 'webhook':
        return notifiers.webhook.send({ notifier, ...rest });
      case 'email':
        return notifiers.email.send({ notifier, ...rest });
      case 'github':
        return notifiers.github.send({ notifier, ...rest });
    }
  };
}

export type AnyDelivery = Omit<Delivery, 'notifier'> & { readonly notifier: NotifierPlan };
