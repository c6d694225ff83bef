import { z } from 'zod';
import type { Audit, DecisionEntry } from '../../../domain/audit.ts';
import { shortRef } from '../../../domain/commit.ts';
import { withoutIdleLimit } from '../../../http/idle.ts';
import {
  type BuildStory,
  beginBuild,
  buildInput,
  nameOfBuild,
  planBuild,
  readBuildStory,
  wholeBuild,
} from '../../../operations/index.ts';
import { type Asker, shownName } from '../asker.ts';
import * as answers from './answers.ts';
import { causeOfJob, requireAllowedBuild, requireOwnBuild } from './builds-of-jobs.ts';
import { defineRoute } from './route.ts';

const tag = 'Builds';

const configured = z.object({
  name: z.string().describe('With * where each folder is a build of its own.'),
  image: z.string(),
  repository: z.string(),
  branch: z.string(),
  path: z.string(),
});

const list = defineRoute({
  ...{ id: 'listBuilds', method: 'get', url: '/builds', tag, role: 'view' },
  summary: 'The builds of the configuration; what became of them is among the rollouts, with ids that begin with build:',
  answer: z.array(configured).readonly(),
  handle: async (_, { configuration }) =>
    configuration().builds.map(({ name, image, source: { repository, branch, path } }) => ({
      name,
      image,
      repository,
      branch,
      path,
    })),
});

const start = defineRoute({
  ...{ id: 'startBuild', method: 'post', url: '/builds', tag, role: 'operate', forJobs: true },
  summary: 'Build an image of a commit, push it, and hand it over to the services that follow it',
  description:
    'A job (login.jobs) may have its own commit built, of builds whose source is its own repository. What it asks for again in the same ' +
    'words is the same, and answered alike; with another Idempotency-Key it is not.',
  // Where its sources are on disk, and whether anything comes of it, is for the command that works without a server.
  body: buildInput.refine(({ source, pushOnly }) => source === undefined && pushOnly === undefined, {
    error: 'expected no source and no pushOnly: they are for builds without a server',
  }),
  answer: answers.startedBuilds,
  problems: ['not-found', 'refused'],
  async handle({ body, asker, context }, { client, configuration, audit }) {
    const { job } = asker;
    const key = context.get('Idempotency-Key').slice(0, 200);
    if (job !== undefined) requireAllowedBuild(configuration(), body, job);
    const search = planBuild(configuration(), job === undefined ? body : { ...body, ref: job.commit });
    const ofJob = job && { branch: shortRef(job.ref) };
    const begun = await beginBuild(client, { ...search, ...ofJob }, asker.actor, job && causeOfJob(job, body, key));
    const repositories = search.plans.map(({ source }) => source.repository);
    record({ workflow: begun.search, services: [body.name], repositories }, asker, audit);
    // A first clone takes longer than a connection may be silent.
    return await withoutIdleLimit(context.req, begun.found);
  },
});

/** Before it is waited for what it finds: it goes on whatever becomes of that. */
function record(about: Pick<DecisionEntry, 'workflow' | 'services' | 'repositories'>, asker: Asker, audit: Audit): void {
  audit({
    timestamp: new Date().toISOString(),
    event_type: 'decision_made',
    source: asker.job === undefined ? 'operator' : 'job',
    outcome: 'accepted',
    status: 'accepted',
    action: 'build',
    by: shownName(asker),
    images: [],
    ...about,
  });
}

const story = z.object({
  build: z.string(),
  status: z
    .string()
    .describe('As of rollouts; a build ends pushed, built (a dry run), unchanged, or as rollouts do that deliver nothing.'),
  endedAt: answers.time.exactOptional(),
  reason: z.string().exactOptional(),
  steps: z.array(answers.step).readonly(),
  logs: answers.logs,
  outputs: z.object({
    name: z.string(),
    folder: z.string().exactOptional(),
    commit: z.string().exactOptional(),
    facts: z.record(z.string(), z.string()).describe('What the project says of itself, such as type, version and baseImage.'),
    tag: z.string().exactOptional(),
    image: z.string().exactOptional().describe('REPOSITORY:TAG'),
    tags: z.array(z.string()).readonly().describe('All that it is called, or would be.'),
    exists: z.boolean().exactOptional().describe('Whether the registry had it before.'),
    built: z.boolean(),
    pushed: z.boolean(),
    digest: z.string().exactOptional(),
    rollouts: z.array(z.string()).readonly().exactOptional(),
  }),
});

/** It is what the operation gives: see answers.ts. Steps may have more members. */
export const isComplete: Omit<BuildStory, 'steps'> extends Omit<z.output<typeof story>, 'steps'> ? true : never = true;

const one = defineRoute({
  ...{ id: 'readBuild', method: 'get', url: '/builds/{build}', tag, role: 'view', forJobs: true },
  summary: 'One build: what its steps have told, and what came out',
  description: 'A job (login.jobs) may see the builds whose source is its own repository.',
  path: z.object({ build: wholeBuild.describe('Its id, with or without build: at the beginning.') }),
  query: z.object({ run: z.uuid().exactOptional().describe('As starting it has answered. Default: the newest.') }),
  answer: story,
  problems: ['not-found'],
  async handle({ path: { build }, query: { run }, asker }, { client, configuration }) {
    if (asker.job !== undefined) requireOwnBuild(configuration(), nameOfBuild(build), asker.job);
    return await readBuildStory(client, build, run);
  },
});

export const buildRoutes = [list, start, one] as const;
