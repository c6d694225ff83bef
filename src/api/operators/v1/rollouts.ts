import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { codeOf } from '../../../domain/errors.ts';
import { roleFor } from '../../../domain/person.ts';
import {
  countRollouts,
  decide,
  decisionInput,
  findRollout,
  hasNewerPlan,
  listRolloutPage,
  NotFound,
  parseInput,
  type RolloutStory,
  readRollout,
  readStory,
  rolloutPageFilter,
  rolloutPrefix,
  withProgress,
} from '../../../operations/index.ts';
import * as answers from './answers.ts';
import type { ApiDependencies } from './dependencies.ts';
import { type ApiRoute, defineRoute } from './route.ts';

const tag = 'Rollouts';
const path = z.object({ rollout: rolloutPrefix.describe("A rollout's id, or any beginning of it that only one has.") });
const problems = ['not-found', 'ambiguous', 'refused'] as const;

async function storyOf({ client }: ApiDependencies, prefix: string): Promise<RolloutStory> {
  return await readStory(client, await findRollout(client, prefix));
}

/** A part of a rollout by itself. */
function part<Answer extends z.ZodType>(
  name: string,
  summary: string,
  answer: Answer,
  of: (story: RolloutStory) => unknown,
): ApiRoute {
  return defineRoute({
    ...{ id: `rollout${name[0]?.toUpperCase()}${name.slice(1)}`, method: 'get', url: `/rollouts/{rollout}/${name}` },
    ...{ tag, summary, role: 'view', path, answer, problems },
    handle: async ({ path: { rollout } }, dependencies) => of(await storyOf(dependencies, rollout)),
  });
}

const list = defineRoute({
  ...{ id: 'listRollouts', method: 'get', url: '/rollouts', tag, role: 'view' },
  summary: 'Rollouts and rollbacks in pages: those under way, and then what ended last',
  query: rolloutPageFilter.extend({
    count: z.boolean().exactOptional().describe('Whether to tell how many there are in all.'),
    progress: z.boolean().exactOptional().describe('Whether to ask what has not ended at which step it is, and why it waits.'),
  }),
  answer: answers.rolloutList,
  async handle({ query: { count, progress, ...filter } }, { client }) {
    const [page, total] = await Promise.all([listRolloutPage(client, filter), count ? countRollouts(client, filter) : undefined]);
    const rows = progress ? await withProgress(client, page.rows) : page.rows;
    return { ...page, rows, ...(total !== undefined && { total }) };
  },
});

const one = defineRoute({
  ...{ id: 'readRollout', method: 'get', url: '/rollouts/{rollout}', tag, role: 'view', path, problems },
  summary: 'One rollout, with all that its steps have told',
  answer: answers.story,
  handle: ({ path: { rollout } }, dependencies) => storyOf(dependencies, rollout),
});

const wanted = z.object({
  verb: decisionInput.shape.verb.exactOptional().describe('The only one to which this can be said now. Absent: the newest.'),
  stage: z.string().exactOptional(),
});

const id = defineRoute({
  ...{ id: 'findRollout', method: 'get', url: '/rollouts/{rollout}/id', tag, role: 'view', path, query: wanted, problems },
  summary: 'Which rollout is meant by the beginning of an id, or by the name of a service',
  answer: answers.meant,
  handle: async ({ path: { rollout }, query }, { client }) => ({ rollout: await findRollout(client, rollout, query) }),
});

const newerPlan = defineRoute({
  ...{ id: 'hasNewerPlan', method: 'get', url: '/rollouts/{rollout}/plan', tag, role: 'view', path, problems },
  summary: 'Whether the configuration says something else of it than when it began',
  answer: answers.newerPlan,
  async handle({ path: { rollout } }, { client, configuration }) {
    const { state } = await readRollout(client, await findRollout(client, rollout));
    return { isNewer: await hasNewerPlan(async () => configuration(), state) };
  },
});

const decideBody = z.object(decisionInput.shape).omit({ rollout: true }).strict();

const decision = defineRoute({
  ...{ id: 'decide', method: 'post', url: '/rollouts/{rollout}/decisions', tag, path, problems },
  summary: 'Say something to a rollout: approve, retry, renew, skip, reject, abort',
  description: 'approve needs the role approve, everything else operate. A skip needs a reason.',
  role: ({ verb }) => roleFor(verb),
  body: decideBody,
  answer: answers.decided,
  async handle({ path: { rollout: prefix }, body, asker }, { client }) {
    const { rollout: _, ...input } = parseInput(decisionInput, { ...body, rollout: 'checked' });
    const { verb, stage } = input;
    const rollout = await findRollout(client, prefix, { verb, stage });
    const bound = await decide(client, rollout, input, asker.actor);
    return { ...(await readStory(client, rollout)), ...bound };
  },
});

const hex = z.string().regex(/^[0-9a-f]{64}$/, { error: 'expected 64 hex digits, as the list of artifacts has them' });
const fileName = z.string().regex(/^[\w.-]{1,200}$/, { error: 'expected the name of a file, as the list of artifacts has it' });

const artifact = defineRoute({
  ...{
    id: 'downloadArtifact',
    method: 'get',
    url: '/rollouts/{rollout}/artifacts/sha256/{hex}/{name}',
    tag,
    role: 'view',
    problems,
  },
  summary: 'A report or an SBOM of a scan',
  path: path.extend({ hex, name: fileName }),
  answer: { mediaType: 'application/octet-stream' },
  async handle({ path: { rollout, hex, name }, context }, dependencies) {
    const wanted = join('sha256', hex, name);
    const { artifacts } = await storyOf(dependencies, rollout);
    if (!artifacts.includes(wanted))
      throw new NotFound(`the rollout has no artifact ${wanted}: its list of artifacts shows what it has`);
    const file = join(dependencies.configuration().artifacts, wanted);
    const size = await sizeOf(file);
    // Whatever it is, a browser keeps it and does not show it as a page of ours.
    context.set('Content-Disposition', `attachment; filename="${name}"`);
    context.set('Content-Type', 'application/octet-stream');
    context.set('Content-Length', String(size));
    return createReadStream(file);
  },
});

async function sizeOf(file: string): Promise<number> {
  try {
    const handle = await open(file);
    try {
      return (await handle.stat()).size;
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    throw new NotFound('this artifact is not kept any more, or the folder of artifacts is not that of the workers');
  }
}

export const rolloutRoutes: readonly ApiRoute[] = [
  list,
  one,
  id,
  newerPlan,
  part('steps', 'Its steps', z.array(answers.step).readonly(), ({ state }) => state.steps),
  part('findings', 'What its checks found', answers.findings, ({ findings }) => findings),
  part('logs', 'The last lines of its containers', answers.logs, ({ logs }) => logs),
  part('readings', 'The readings of its probes', answers.readings, ({ readings }) => readings),
  part('waivers', 'What people said to go on without', z.array(answers.waiver).readonly(), ({ state }) => state.waivers ?? []),
  part('decisions', 'Who said what', z.array(answers.takenDecision).readonly(), ({ state }) => state.decisions ?? []),
  part('artifacts', 'Reports and SBOMs', answers.artifactPaths, ({ artifacts }) => artifacts),
  decision,
  artifact,
];
