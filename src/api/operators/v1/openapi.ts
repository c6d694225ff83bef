import { z } from 'zod';
import { type ProblemName, problemTypes } from '../problems.ts';
import type { ApiRoute } from './route.ts';

/** The OpenAPI 3.1 document of the routes, from the very schemas that check what is asked. Its JSON Schema is that of zod's own. */
export function openApiDocument(routes: readonly ApiRoute[], version: string): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) paths[route.url] = { ...paths[route.url], [route.method]: operationOf(route) };
  return {
    openapi: '3.1.0',
    info: { title: 'Landfall', version, description: 'What operators can ask and do. Errors are problem+json (RFC 9457).' },
    servers: [{ url: '/api/v1' }],
    security: [{ token: [] }, { cookie: [] }],
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: "An operator's token: landfall token makes one." },
        cookie: { type: 'apiKey', in: 'cookie', name: 'landfall', description: 'By POST /login; __Host-landfall under https.' },
      },
      schemas: { Problem: jsonSchema(problemShape, 'output') },
    },
  };
}

export const problemShape = z.object({
  type: z.string().describe('Where it is explained: /api/v1/problems/NAME.'),
  title: z.string(),
  status: z.int(),
  detail: z.string().describe('What was expected, what was found, what to do.'),
  candidates: z.array(z.string()).exactOptional().describe('Of ambiguous: the names of which one is meant.'),
});

const usual: readonly ProblemName[] = ['failed', 'unavailable'];
const ofKnown: readonly ProblemName[] = ['unauthenticated', 'forbidden'];
const ofInput: readonly ProblemName[] = ['invalid-input'];
const ofBody: readonly ProblemName[] = [
  'malformed',
  'unsupported-media-type',
  'too-large',
  'timed-out',
  'foreign-origin',
  'invalid-input',
];

function operationOf(route: ApiRoute): Record<string, unknown> {
  const { id, tag, summary, description, path, query, body } = route;
  const names = [
    ...usual,
    ...ofKnown,
    ...(Object.keys({ ...path.shape, ...query.shape }).length > 0 ? ofInput : []),
    ...(body === undefined ? [] : ofBody),
    // What is not in the schema is refused, whether or not there is anything in it.
    ...ofInput,
    ...(route.problems ?? []),
  ];
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    parameters: [...parametersOf(path, 'path'), ...parametersOf(query, 'query')],
    ...(body !== undefined && {
      requestBody: { required: true, content: { 'application/json': { schema: jsonSchema(body, 'input') } } },
    }),
    responses: { '200': answerOf(route), ...problemsOf(names) },
  };
}

function answerOf({ answer }: ApiRoute): Record<string, unknown> {
  if ('mediaType' in answer)
    return { description: 'As asked for.', content: { [answer.mediaType]: { schema: { type: 'string' } } } };
  return { description: 'As asked for.', content: { 'application/json': { schema: jsonSchema(answer, 'output') } } };
}

/** Several may have the same status. */
function problemsOf(names: readonly ProblemName[]): Record<string, unknown> {
  const content = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } };
  const titles = new Map<number, Set<string>>();
  for (const name of names) {
    const [status, title] = problemTypes[name];
    titles.set(status, (titles.get(status) ?? new Set()).add(title));
  }
  const entries = [...titles].sort(([one], [other]) => one - other);
  return Object.fromEntries(
    entries.map(([status, known]) => [String(status), { description: [...known].join('; or: '), content }]),
  );
}

function parametersOf(schema: z.ZodObject, where: 'path' | 'query'): unknown[] {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return Object.entries(properties).map(([name, property]) => {
    const { description, ...rest } = typeof property === 'boolean' ? {} : property;
    const isRequired = where === 'path' || required.includes(name);
    return { name, in: where, required: isRequired, ...(description !== undefined && { description }), schema: rest };
  });
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}
