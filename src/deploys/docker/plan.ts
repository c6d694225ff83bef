import { z } from 'zod';
import type { Complain } from '../../settings/problem.ts';
import { duration, text } from '../../settings/scalars.ts';
import { map } from '../../settings/wording.ts';
import type { ResolvedDeploy } from '../deploy.ts';

/** What the configuration says of deploys by Docker alone. */

export interface DockerDeployPlan {
  /** The containers by name, or all that have this label (`key` or `key=value`). */
  readonly containers: { readonly names: readonly string[] } | { readonly label: string };
  /** Longest time from the start of a container to running (and healthy, where it has a HEALTHCHECK). */
  readonly timeoutMs: number;
}

const filledIn = '{service} and {stage} are filled in';
const container = text(
  'the name of a container',
  /^(?:[A-Za-z0-9]|\{service\}|\{stage\})(?:[A-Za-z0-9_.-]|\{service\}|\{stage\})*$/,
);
const count = z.int().min(1);

export const dockerSchema = map(
  {
    container: container.meta({ description: `One container by name; ${filledIn}.` }).exactOptional(),
    containers: z
      .array(container)
      .min(1)
      .meta({ description: `Several by name, in order; ${filledIn}.` })
      .exactOptional(),
    label: text('a label as KEY or KEY=VALUE', /^[^\s=]+(?:=.*)?$/)
      .meta({ description: `All that have this label of their own, not from their image; ${filledIn}.` })
      .exactOptional(),
    canary: count.meta({ description: 'How many are done, and watched, before the rest. Default: all at once.' }).exactOptional(),
    batch: count.meta({ description: 'How many of the rest are done at once. Default: all.' }).exactOptional(),
    timeout: duration.meta({ description: 'Longest time until a container runs and is healthy. Default: 2m.' }).exactOptional(),
  },
  'Containers that are recreated with the new image and what was set on them.',
);

export function resolveDocker(input: z.output<typeof dockerSchema>, complain: Complain): ResolvedDeploy<DockerDeployPlan> {
  const { container, containers, label, canary, batch, timeout = 2 * 60_000 } = input;
  const named = Object.entries({ container, containers, label }).flatMap(([key, value]) => (value === undefined ? [] : [key]));
  if (named.length !== 1)
    complain([], `expected one of container, containers and label, found ${named.length === 0 ? 'none' : named.join(' and ')}`);
  return {
    settings: {
      containers: label === undefined ? { names: containers ?? (container === undefined ? [] : [container]) } : { label },
      timeoutMs: timeout,
    },
    // The start itself, and a wait for a lock that a cut-off try of it holds.
    timeoutMs: 2 * timeout,
    ...(canary === undefined ? {} : { canary }),
    ...(batch === undefined ? {} : { batch }),
  };
}

export function fillDocker(deploy: DockerDeployPlan, fill: (text: string) => string): DockerDeployPlan {
  const { containers } = deploy;
  return {
    ...deploy,
    containers: 'names' in containers ? { names: containers.names.map(fill) } : { label: fill(containers.label) },
  };
}
