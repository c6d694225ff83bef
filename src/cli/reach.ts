import { isPlainHttp } from '../domain/plain-http.ts';
import type { ApiPlace, Operations } from '../operations/index.ts';
import { actorOf, tokenIn } from './actor.ts';
import type { CliContext, CommandOptions } from './context.ts';
import { CommandFailure, UsageFailure } from './errors.ts';

/** Of the option `--url`, whose default is LANDFALL_URL. */
type ReachOptions = Pick<CommandOptions, 'config' | 'url'> & { readonly as?: string };

/** Lends the operations of the Landfall that the command is to ask: by its API where an address of one is given, else by its Temporal. */
export async function withOperations<Result>(
  { config, url, as }: ReachOptions,
  context: CliContext,
  work: (operations: Operations) => Promise<Result>,
): Promise<Result> {
  const who = as === undefined ? {} : { as };
  if (url !== undefined) return await work(await context.reachApi(placeOf(url, who, context), context.env));
  const { env, loadKinds, withRegistry } = context;
  const { withTemporal } = await import('../operations/temporal-operations.ts');
  return await withTemporal({ file: config, env, loadKinds, withRegistry, actor: () => actorOf(who, context) }, work);
}

/** What looks at the machine itself. @throws CommandFailure where the API is to be asked */
export function requireNoApi(what: string, { LANDFALL_URL: url }: CliContext['env']): void {
  if (!url) return;
  throw new CommandFailure(`${what}: run it where Landfall runs, without LANDFALL_URL. The API does not tell that`);
}

function placeOf(text: string, { as }: { readonly as?: string }, { env, operator }: CliContext): ApiPlace {
  const token = tokenForHeader(env);
  const name = as?.trim();
  return { url: addressOf(text), operator, ...(token !== undefined && { token }), ...(name && { as: name }) };
}

/** @throws UsageFailure, which never repeats what may hold a password */
function addressOf(text: string): URL {
  const expected = "LANDFALL_URL: expected the address of the operators' listener, as https://landfall.example.org";
  const url = URL.parse(text.trim());
  if (url === null || !/^https?:$/.test(url.protocol)) throw new UsageFailure(`${expected}, found something else`);
  if (url.username !== '' || url.password !== '')
    throw new UsageFailure(`${expected}, found a user or a password in it: say who you are by LANDFALL_TOKEN`);
  if (url.search !== '' || url.hash !== '') throw new UsageFailure(`${expected}, found one with ? or #`);
  if (isPlainHttp(url))
    throw new UsageFailure(
      `${expected}, found http://, where everybody on the way can read the token: use https://, ` +
        `or a tunnel (ssh -L 8081:127.0.0.1:8081 ${url.hostname}) and http://127.0.0.1:8081`,
    );
  return url;
}

/** What is no header would be refused by an error that shows it. @throws UsageFailure */
function tokenForHeader(env: CliContext['env']): string | undefined {
  const token = tokenIn(env);
  if (token === undefined || /^[\x21-\x7e]+$/.test(token)) return token;
  throw new UsageFailure(
    'expected a token of letters, digits and signs in LANDFALL_TOKEN (landfall token makes one), found something else',
  );
}
