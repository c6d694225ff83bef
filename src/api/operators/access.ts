import type { IncomingMessage } from 'node:http';
import type { Context, Middleware } from 'koa';
import type { OperatorRole } from '../../domain/person.ts';
import { requireOwnOrigin } from '../../http/origin.ts';
import { Problem } from '../../http/problem.ts';
import type { Asker, NobodyKnown, WhoAsks } from './asker.ts';
import type { Sessions } from './sessions.ts';

/** Whatever a route behind `requireRole` finds in `context.state`. */
export interface OperatorState {
  asker: Asker;
}

export interface Access {
  /** Who asks, for a route that answers strangers, too. */
  whoAsks(context: Context): Promise<Asker | NobodyKnown>;
  /** A middleware that lets in who has the role, and puts who that is into `context.state.asker`. @throws Problem 401, 403 */
  requireRole(role: OperatorRole): Middleware<OperatorState>;
  /**
   * For a route whose role depends on what is asked for: `requireAllowed` then looks at the rest.
   * @param forJobs lets in jobs, too, which have no role
   * @throws Problem 401, 403
   */
  require(context: Context, role: OperatorRole, forJobs?: boolean): Promise<Asker>;
}

interface AccessDependencies {
  readonly whoAsks: WhoAsks;
  readonly sessions: Sessions;
  /** As browsers have the listener now. */
  readonly url: () => string | undefined;
}

export function createAccess({ whoAsks, sessions, url }: AccessDependencies): Access {
  const asked = (request: IncomingMessage) => whoAsks(request);
  const required = async (context: Context, role: OperatorRole, forJobs = false): Promise<Asker> => {
    const asker = await asked(context.req);
    if ('refused' in asker) throw unauthenticated(asker.refused);
    requireOwnOrigin(context.req, url(), asker.byCookie);
    if (asker.byCookie) await sessions.keep(context.req, context.res);
    requireAllowed(asker, role, forJobs);
    return asker;
  };
  return {
    whoAsks: (context) => asked(context.req),
    require: required,
    requireRole: (role) => async (context, next) => {
      context.state.asker = await required(context, role);
      await next();
    },
  };
}

/** Whether somebody who is known may do this. @param forJobs lets in jobs, too, which have no role @throws Problem 403 */
export function requireAllowed(asker: Asker, role: OperatorRole, forJobs = false): void {
  if (!(forJobs && asker.job !== undefined) && !asker.roles.includes(role)) throw forbidden(asker, role);
}

function unauthenticated(detail: string): Problem {
  return new Problem(401, 'unauthenticated', detail, { 'WWW-Authenticate': 'Bearer realm="landfall"' });
}

function forbidden({ name, roles }: Asker, role: OperatorRole): Problem {
  const has = roles.length === 0 ? 'none' : roles.join(', ');
  const detail = `This needs the role ${role}, and ${name} has ${has}. Ask somebody who has it, or have it added in the configuration.`;
  return new Problem(403, 'forbidden', detail);
}
