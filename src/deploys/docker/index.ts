import { z } from 'zod';
import { duration, text } from '../../settings/scalars.ts';
import { map, optional } from '../../settings/wording.ts';
import { defineDeploy } from '../deploy.ts';
import type { DockerDeployPlan } from './slot.ts';

const filledIn = '{service} and {stage} are filled in';
const container = text(
  'the name of a container',
  /^(?:[A-Za-z0-9]|\{service\}|\{stage\})(?:[A-Za-z0-9_.-]|\{service\}|\{stage\})*$/,
);

const schema = map(
  {
    container: optional(container, `One container by name; ${filledIn}.`),
    containers: optional(z.array(container).min(1), `Several by name, in order; ${filledIn}.`),
    label: optional(
      text('a label as KEY or KEY=VALUE', /^[^\s=]+(?:=.*)?$/),
      `All that have this label of their own, not from their image; ${filledIn}.`,
    ),
    canary: optional(z.int().min(1), 'How many are done, and watched, before the rest. Default: all at once.'),
    batch: optional(z.int().min(1), 'How many of the rest are done at once. Default: all.'),
    timeout: optional(duration, 'Longest time until a container runs and is healthy. Default: 2m.'),
  },
  'Containers that are recreated with the new image and what was set on them.',
);

/** Containers of the host are recreated with the new image, and with the settings that they have. */
export const dockerDeploy = defineDeploy({
  kind: 'docker',
  schema,
  alternatives: { '': [['container', 'containers', 'label']] },
  resolve({ container, containers, label, canary, batch, timeout: timeoutMs = 2 * 60_000 }, _stage, complain) {
    const named = Object.entries({ container, containers, label }).flatMap(([key, value]) => (value === undefined ? [] : [key]));
    if (named.length !== 1)
      complain([], `expected one of container, containers and label, found ${named.join(' and ') || 'none'}`);
    const names = containers ?? (container === undefined ? [] : [container]);
    const settings: DockerDeployPlan = { containers: label === undefined ? { names } : { label }, timeoutMs };
    return {
      settings,
      // The start itself, and a wait for a lock that a cut-off try of it holds.
      timeoutMs: 2 * timeoutMs,
      ...(canary !== undefined && { canary }),
      ...(batch !== undefined && { batch }),
    };
  },
  fill: (deploy, fill) => ({
    ...deploy,
    containers:
      'names' in deploy.containers ? { names: deploy.containers.names.map(fill) } : { label: fill(deploy.containers.label) },
  }),
  containerOf: (_settings, container) => ({ container }),
  async create(context) {
    const { createDockerDeployer } = await import('./deployer.ts');
    return createDockerDeployer(context);
  },
});
