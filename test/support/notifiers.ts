import type { NoticeEvent, NotifierPlan } from '../../src/domain/plan.ts';
import { notifiers } from '../../src/notifiers/index.ts';
import type { Notifier, NotifierContext } from '../../src/notifiers/notifier.ts';

/** What a plan says of a notifier of the product. @param input what its schema makes of the configuration */
export function notifierOf(kind: string, input: unknown, events: readonly NoticeEvent[] = []): NotifierPlan {
  const known = notifiers.find((notifier) => notifier.kind === kind);
  if (known === undefined) throw new Error(`there is no notifier ${kind}`);
  return { kind, events, ...known.resolve(input) };
}

/** Those of the product, by kind, as a worker makes them. */
export async function makeNotifiers(context: NotifierContext): Promise<Map<string, Notifier>> {
  return new Map(
    await Promise.all(notifiers.map(async ({ kind, create }): Promise<[string, Notifier]> => [kind, await create(context)])),
  );
}
