import { pathOf, type Repository, registryOf } from '../../domain/image-reference.ts';
import type { Authentication, AuthenticationTarget } from './authentication.ts';
import { errorText, type HttpSettings, send, unexpectedAnswer } from './http.ts';
import { isPage } from './odd-answer.ts';

/** Requests to the registry's API, authenticated as the registry asks. */
export interface Session {
  /**
   * @param path below `/v2/NAME/`, with the query
   * @returns any answer but 401 and 403; for HEAD these too, if they are not sure to be meant
   * @throws Refusal `CredentialsRefused`
   */
  request(
    repository: Repository,
    method: 'GET' | 'HEAD',
    path: string,
    headers: Readonly<Record<string, string>>,
  ): Promise<Response>;
}

export function createSession(authentication: Authentication, settings: HttpSettings): Session {
  return {
    async request(repository, method, path, headers) {
      const target: AuthenticationTarget = { host: registryOf(repository), path: pathOf(repository) };
      const url = new URL(`${apiOrigin(target.host, settings)}/v2/${target.path}/${path}`);
      const ask = (authorization: string | undefined) =>
        send({ method, url, headers: { ...headers, ...(authorization !== undefined && { authorization }) } }, settings);

      const remembered = await authentication.remembered(target);
      let answer = await ask(remembered);
      const challenges = answer.headers.get('www-authenticate');
      if (answer.status === 401 && challenges !== null) {
        await answer.body?.cancel();
        answer = await ask(await authentication.answer(target, challenges, remembered));
      }
      if (method === 'HEAD') return answer;
      // A registry says how to come in, and says no in JSON; this is a proxy before it, or a login.
      const isOdd = (answer.status === 401 && challenges === null) || (answer.status === 403 && isPage(answer));
      if (isOdd) throw await unexpectedAnswer(`${method} ${url}`, answer, settings);
      if (answer.status === 401 || answer.status === 403) {
        throw await authentication.refused(target, `${answer.status} ${await errorText(answer, settings)}`.trim());
      }
      return answer;
    },
  };
}

/** Docker Hub's API lives on another host than its images' names say. */
function apiOrigin(host: string, { plainHttp }: HttpSettings): string {
  if (host === 'docker.io') return 'https://registry-1.docker.io';
  return `${plainHttp(host) ? 'http' : 'https'}://${host}`;
}
