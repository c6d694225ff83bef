import { createHmac, randomUUID } from 'node:crypto';
import * as shapes from './shapes.ts';
import { fullPull } from './shapes-of-pulls.ts';
import {
  type Delivery,
  now,
  type Pull,
  type Repository,
  type WebhookDeliveries,
  type WebhookTarget,
  type World,
} from './state.ts';

export type { Delivery, WebhookTarget };

type Event = Pick<Delivery, 'id' | 'event' | 'repository' | 'body' | 'redelivery'>;

/** Signed deliveries, one after the other: https://docs.github.com/webhooks/webhook-events-and-payloads. GitHub never repeats one by itself. */
export class Webhooks implements WebhookDeliveries {
  readonly deliveries: Delivery[] = [];
  #target: WebhookTarget | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #attempts = 0;

  constructor(target?: WebhookTarget) {
    this.#target = target;
  }

  deliverTo(target: WebhookTarget | undefined): void {
    this.#target = target;
  }

  get target(): WebhookTarget | undefined {
    return this.#target;
  }

  /** The same once more, as somebody asked for it. */
  redeliver({ id, event, repository, body }: Delivery): void {
    const target = this.#target;
    if (target === undefined) throw new Error('the webhook is gone');
    this.#tail = this.#tail.then(() => this.#deliver(target, { id, event, repository, body, redelivery: true }));
  }

  /** @param members built at once, so that the body says what was when it happened */
  announce(world: World, event: string, repository: Repository, sender: string, members: () => Promise<object>): void {
    const target = this.#target;
    if (target === undefined) return;
    const body = members().then((built) => ({
      ...built,
      repository: shapes.fullRepository(world, repository),
      sender: shapes.user(world, sender),
    }));
    this.#tail = Promise.all([this.#tail, body]).then(([, built]) =>
      this.#deliver(target, { id: randomUUID(), event, repository: repository.fullName, body: built, redelivery: false }),
    );
  }

  announcePull(world: World, action: string, repository: Repository, pull: Pull, sender: string): void {
    const members = async () => ({ action, number: pull.number, pull_request: await fullPull(world, repository, { ...pull }) });
    this.announce(world, 'pull_request', repository, sender, members);
  }

  /** Resolves once everything that happened so far was delivered. */
  async settled(): Promise<void> {
    await this.#tail;
  }

  async #deliver({ url, secret }: WebhookTarget, delivered: Event): Promise<void> {
    const { id, event, body } = delivered;
    const text = JSON.stringify(body);
    const headers = {
      'content-type': 'application/json',
      'user-agent': 'GitHub-Hookshot/emulator',
      'x-github-event': event,
      'x-github-delivery': id,
      'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(text).digest('hex')}`,
    };
    let status = 0;
    try {
      const answer = await fetch(url, { method: 'POST', headers, body: text, signal: AbortSignal.timeout(10_000) });
      await answer.arrayBuffer();
      status = answer.status;
    } catch {
      // Nobody listens: GitHub notes it, and goes on.
    }
    this.#attempts += 1;
    this.deliveries.push({ ...delivered, attempt: this.#attempts, status, at: now() });
  }
}
