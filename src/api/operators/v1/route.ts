import type { Context } from 'koa';
import { z } from 'zod';
import type { OperatorRole } from '../../../domain/person.ts';
import type { Asker } from '../asker.ts';
import type { ProblemName } from '../problems.ts';
import type { ApiDependencies } from './dependencies.ts';

/** One thing that the API does: its schemas check what is asked, make the OpenAPI document, and say what is answered. */
export interface ApiRoute<
  Path extends z.ZodObject = z.ZodObject,
  Query extends z.ZodObject = z.ZodObject,
  Body extends z.ZodType = z.ZodType,
> {
  /** `operationId` of OpenAPI. */
  readonly id: string;
  readonly method: 'get' | 'post';
  /** As OpenAPI writes it, beneath `/api/v1`: `/rollouts/{rollout}`. */
  readonly url: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  /** What whoever asks has to be. A function: it depends on the body. */
  readonly role: OperatorRole | ((body: z.output<Body>) => OperatorRole);
  /** A job may ask for it, too, without any role; `handle` looks whether it is about the job's own repository. */
  readonly forJobs?: true;
  readonly path: Path;
  readonly query: Query;
  /** Absent: none. */
  readonly body?: Body;
  /** JSON, or another media type, which `handle` writes itself. */
  readonly answer: z.ZodType | { readonly mediaType: string };
  /** Problems beside those that every route has. */
  readonly problems?: readonly ProblemName[];
  handle(asked: AskedOf<Path, Query, Body>, dependencies: ApiDependencies): unknown;
}

export interface AskedOf<Path extends z.ZodType, Query extends z.ZodType, Body extends z.ZodType> {
  readonly path: z.output<Path>;
  readonly query: z.output<Query>;
  readonly body: z.output<Body>;
  readonly asker: Asker;
  /** Whether whoever asked would be let in now, for an answer that goes on. It never rejects. */
  readonly isStillAllowed: () => Promise<boolean>;
  readonly context: Context;
}

export const nothing = z.strictObject({});

/** The one place where a route's schemas have their types: what is checked by them is what it is given. */
export function defineRoute<
  Path extends z.ZodObject = typeof nothing,
  Query extends z.ZodObject = typeof nothing,
  Body extends z.ZodType = z.ZodUndefined,
>(route: Omit<ApiRoute<Path, Query, Body>, 'path' | 'query'> & { readonly path?: Path; readonly query?: Query }): ApiRoute {
  // What is not known is a mistake of whoever asks, and they should hear of it.
  return { path: nothing, ...route, query: (route.query ?? nothing).strict() } as unknown as ApiRoute;
}
