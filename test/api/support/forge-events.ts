import { createRequire } from 'node:module';

/** An event of a deployment repository, as GitHub sends it. */
export interface ForgeEvent {
  readonly event: string;
  /** `closed`, or for events without an action their state. */
  readonly action: string;
  readonly body: object;
}

interface Collected {
  readonly name: string;
  readonly examples: readonly (object & { readonly action?: string; readonly state?: string })[];
}

const collected = createRequire(import.meta.url)('@octokit/webhooks-examples') as readonly Collected[];

/** What people have recorded of these events at github.com, with the branch that they are about renamed to one of Landfall's. */
export function forgeEvents(names: readonly string[], branch: string): readonly ForgeEvent[] {
  return names.flatMap((event) => {
    const examples = collected.find(({ name }) => name === event)?.examples ?? [];
    if (examples.length === 0) throw new Error(`expected examples of ${event} in @octokit/webhooks-examples`);
    return examples.map((example) => {
      const body = renamed(example, 'changes', branch) as Collected['examples'][number];
      return { event, action: body.action ?? body.state ?? '', body };
    });
  });
}

/** A value of the body changed, by its path. */
export function withValue(body: unknown, path: readonly string[], value: unknown): object {
  const [key = '', ...rest] = path;
  const before = typeof body === 'object' && body !== null ? Object.fromEntries(Object.entries(body)) : {};
  return { ...before, [key]: rest.length === 0 ? value : withValue(before[key], rest, value) };
}

function renamed(node: unknown, from: string, to: string): unknown {
  if (node === from) return to;
  if (Array.isArray(node)) return node.map((item) => renamed(item, from, to));
  if (typeof node !== 'object' || node === null) return node;
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, renamed(value, from, to)]));
}
