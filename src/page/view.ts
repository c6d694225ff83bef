import type { Actor } from '../operations/inputs.ts';

/** What one answer is made for: who looks, from where, and when. Every page is a function of it and of what was read. */
export interface PageView {
  /** What stands before every path, for a proxy that serves the page below one: `` or `/landfall`. */
  readonly base: string;
  readonly theme: Theme;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly viewer: Viewer;
  /** The path without the base, with the query. */
  readonly here: string;
  /** Where Temporal's own page shows a workflow; absent: it has none that is known. */
  readonly linkTo?: (workflow: string) => string;
}

export const themes = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof themes)[number];

/** Who looks at the page, and what they may do. */
export interface Viewer {
  /** Absent: nobody said who they are, and nobody had to. */
  readonly name?: string;
  /** For what they decide. */
  readonly actor: Actor;
  readonly mayOperate: boolean;
  readonly mayApprove: boolean;
  /** There is a way to log out. */
  readonly isLoggedIn: boolean;
}

/** Somebody who has not said who they are. */
export interface UnknownViewer {
  readonly refused: string;
}

/** Paths of the page. */
export const paths = {
  now: () => '/',
  rollouts: (filter: Readonly<Record<string, string | undefined>> = {}) => `/rollouts${queryText(filter)}`,
  rollout: (rollout: string) => `/rollouts/${encodeURIComponent(rollout)}`,
  service: (service: string) => `/services/${encodeURIComponent(service)}`,
  record: (filter: Readonly<Record<string, string | undefined>> = {}) => `/record${queryText(filter)}`,
  decide: (rollout: string) => `/rollouts/${encodeURIComponent(rollout)}/decide`,
  lane: (service: string) => `/services/${encodeURIComponent(service)}/decide`,
  hold: () => '/hold',
  theme: () => '/theme',
  live: () => '/live',
} as const;

/** `?status=blocked`; what is absent or empty is left out. */
export function queryText(filter: Readonly<Record<string, string | undefined>>): string {
  const said = Object.entries(filter).flatMap(([key, value]) => (value ? [[key, value] as const] : []));
  return said.length === 0 ? '' : `?${new URLSearchParams(Object.fromEntries(said))}`;
}

/** As it stands in a link. */
export function at({ base }: Pick<PageView, 'base'>, path: string): string {
  return `${base}${path}`;
}
