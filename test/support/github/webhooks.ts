import { createHmac, randomUUID } from 'node:crypto';
import * as shapes from './shapes.ts';
import { fullPull } from './shapes-of-pulls.ts';
import type { Pull, Repository, World } from './state.ts';

/** Where events are told, as a webhook of every repository. */
export interface WebhookTarget {
  readonly url: string;
  readonly secret: string;
}

export interface Delivery {
  /** `x-github-delivery` */
  readonly id: string;
  readonly event: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** Of the answer; 0 where there was none. */
  readonly status: number;
}

/** Signed deliveries, one after the other: https://docs.github.com/webhooks/webhook-events-and-payloads. GitHub never repeats one by itself. */
export class Webhooks {
  readonly deliveries: Delivery[] = [];
  #target: WebhookTarget | undefined;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(target?: WebhookTarget) {
    this.#target = target;
  }

  deliverTo(target: WebhookTarget | undefined): void {
    this.#target = target;
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
    this.#tail = Promise.all([this.#tail, body]).then(([, built]) => this.#deliver(target, event, built));
  }

  announcePull(world: World, action: string, repository: Repository, pull: Pull, sender: string): void {
    const members = async () => ({ action, number: pull.number, pull_request: await fullPull(world, repository, { ...pull }) });
    this.announce(world, 'pull_request', repository, sender, members);
  }

  /** Resolves once everything that happened so far was delivered. */
  async settled(): Promise<void> {
    await this.#tail;
  }

  async #deliver({ url, secret }: WebhookTarget, event: string, body: Record<string, unknown>): Promise<void> {
    const text = JSON.stringify(body);
    const id = randomUUID();
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
    this.deliveries.push({ id, event, body, status });
  }
}
