import { z } from 'zod';
import { withoutIdleLimit } from '../../../http/idle.ts';
import {
  commandGlobalHold,
  commandLane,
  configuredServices,
  explainInput,
  globalHoldInput,
  laneCommandInput,
  parseInput,
  planTriggers,
  readGlobalHold,
  readOverview,
  serviceInput,
  showLane,
  stagesOf,
  trigger,
  triggerInput,
} from '../../../operations/index.ts';
import * as answers from './answers.ts';
import { type ApiRoute, defineRoute } from './route.ts';

const path = z.object({
  service: serviceInput.describe('The name of a service; of one tag that goes its own way, SERVICE@TAG.'),
});

const overview = defineRoute({
  ...{ id: 'overview', method: 'get', url: '/overview', tag: 'Overview', role: 'view' },
  summary: 'What somebody on call has to know first: what asks, what runs, what is held, what each stage has',
  answer: answers.overview,
  handle: (_, { client, configuration }) => readOverview(client, configuredServices(configuration())),
});

const services = defineRoute({
  ...{ id: 'listServices', method: 'get', url: '/services', tag: 'Services', role: 'view' },
  summary: 'All services, with what each stage runs',
  answer: z.array(answers.serviceOverview).readonly(),
  handle: async (_, { client, configuration }) => (await readOverview(client, configuredServices(configuration()))).services,
});

const service = defineRoute({
  ...{ id: 'readService', method: 'get', url: '/services/{service}', tag: 'Services', role: 'view', path },
  summary: 'What each stage of a service runs and ran, and what keeps it so',
  answer: answers.laneAnswer,
  problems: ['not-found', 'refused'],
  async handle({ path: { service } }, { client }) {
    const { lane, globalHold } = await showLane(client, service);
    const { hold } = lane;
    return {
      service,
      ...(globalHold.hold !== undefined && { globalHold: globalHold.hold }),
      overview: { service, ...(hold !== undefined && { hold }), stages: stagesOf(lane) },
      lane,
    };
  },
});

const commandBody = z.union(laneCommandInput.options.map((option) => z.object(option.shape).omit({ service: true }).strict()));

const command = defineRoute({
  ...{ id: 'commandService', method: 'post', url: '/services/{service}/commands', tag: 'Services', role: 'operate', path },
  summary: 'Hold, release, pin, promote, roll back, quarantine, unquarantine',
  description: 'hold, pin and rollback need a reason. A digest may be the beginning of one that the lane knows.',
  body: commandBody,
  answer: answers.commanded,
  problems: ['not-found', 'refused', 'invalid-configuration'],
  async handle({ path: { service }, body, asker }, { client, configuration }) {
    const input = parseInput(laneCommandInput, { ...body, service });
    const { command, answer } = await commandLane({ client, configuration: async () => configuration() }, input, asker.actor);
    const digest = 'digest' in command ? { digest: command.digest } : {};
    if ('workflow' in answer) return { ...answer, ...digest };
    const { hold } = answer;
    return { overview: { service, ...(hold !== undefined && { hold }), stages: stagesOf(answer) }, lane: answer, ...digest };
  },
});

const readHold = defineRoute({
  ...{ id: 'readGlobalHold', method: 'get', url: '/hold', tag: 'Services', role: 'view' },
  summary: 'What keeps every service from being changed, if anything does',
  answer: answers.globalHold,
  async handle(_, { client }) {
    const hold = await readGlobalHold(client);
    return hold === undefined ? {} : { hold };
  },
});

const hold = defineRoute({
  ...{ id: 'commandGlobalHold', method: 'post', url: '/hold', tag: 'Services', role: 'operate' },
  summary: 'Hold all services, or release them',
  description: 'A hold needs a reason.',
  body: z.object(globalHoldInput.shape).strict(),
  answer: answers.globalHold,
  problems: ['refused'],
  handle: ({ body, asker }, { client }) => commandGlobalHold(client, parseInput(globalHoldInput, body), asker.actor),
});

const triggers = defineRoute({
  ...{ id: 'trigger', method: 'post', url: '/triggers', tag: 'Services', role: 'operate' },
  summary: 'Roll an image out as if it had just been pushed',
  description: 'image: IMAGE[:TAG][@DIGEST], or the name of a service in place of its image.',
  body: triggerInput.strict(),
  answer: answers.startedRollouts,
  problems: ['not-found', 'refused'],
  handle: ({ body, asker }, { client, configuration }) => trigger(client, planTriggers(configuration(), body), asker.actor),
});

const explanation = defineRoute({
  ...{ id: 'explainImage', method: 'get', url: '/explanations', tag: 'Services', role: 'view' },
  summary: 'What a push of an image would come to now, and why: who follows it, what registry and lane say; starts nothing',
  query: explainInput.extend({
    image: explainInput.shape.image.describe('IMAGE[:TAG][@DIGEST]; tag latest where none is given.'),
  }),
  answer: answers.explanation,
  // A registry that is silent takes longer than a connection may be.
  handle: ({ query, context }, { explain }) => withoutIdleLimit(context.req, () => explain(query)),
});

export const serviceRoutes: readonly ApiRoute[] = [overview, services, service, command, readHold, hold, triggers, explanation];
