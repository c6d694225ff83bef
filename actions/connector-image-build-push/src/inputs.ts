import type { BuildOptions } from '../../../src/domain/build.ts';
import { isTag, parseRepository, type Repository, type Tag } from '../../../src/domain/image-reference.ts';
import { isPlainHttp } from '../../../src/domain/plain-http.ts';

export interface Inputs {
  readonly connector: string;
  /** Where the image belongs: registry and path, the connector's name being the last component. */
  readonly repository: Repository;
  readonly options: BuildOptions;
  readonly account: { readonly username: string; readonly password: string } | undefined;
  /** Absent: it is built in this job. */
  readonly landfall?: LandfallInputs;
}

/** Who builds it in place of this job. */
export interface LandfallInputs {
  /** Without a slash at its end. */
  readonly url: string;
  readonly audience: string;
  /** A name in its `builds`. */
  readonly build: string;
  readonly timeoutMs: number;
}

const longestSeconds = 6 * 60 * 60;
const defaultSeconds = 2 * 60 * 60;

/**
 * @param read an input of the action by its name; the empty text where there is none
 * @throws Error that names the input, what was expected and what was found
 */
export function readInputs(read: (name: string) => string): Inputs {
  const value = (name: string): string => read(name).trim();
  const connector = value('connector-name');
  if (!/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(connector))
    throw new Error(`connector-name: expected the name of a connector such as source-faker, found '${connector}'`);
  const landfall = readLandfall(value, connector);
  return {
    connector,
    repository: readRepository(value('registry') || 'docker.io/airbyte', connector),
    options: readOptions(value),
    account: readAccount(value('docker-hub-username'), value('docker-hub-password')),
    ...(landfall !== undefined && { landfall }),
  };
}

function readOptions(value: (name: string) => string): BuildOptions {
  const yes = (name: string, usual: boolean): boolean => {
    const text = value(name).toLowerCase();
    if (text === '') return usual;
    if (text === 'true' || text === 'false') return text === 'true';
    throw new Error(`${name}: expected true or false, found '${text}'`);
  };
  const tag = readTag(value('tag-override'));
  const release = readRelease(value('release-type'));
  if (tag !== undefined && release !== undefined)
    throw new Error('tag-override: expected no release-type beside it: each of them says what the tag is');
  const [dryRun, force] = [yes('dry-run', true), yes('force-publish', false)];
  if (dryRun && force)
    throw new Error('force-publish: expected dry-run: false beside it: with both nobody can tell whether to push');
  return {
    dryRun,
    force,
    ...(tag !== undefined && { tag }),
    ...(release !== undefined && { release }),
    // false says nothing: a main release moves latest all the same.
    ...(yes('push-latest', false) && { movesLatest: true }),
  };
}

function readRepository(registry: string, connector: string): Repository {
  const place = registry.replace(/\/+$/, '');
  if (!/[.:]|^localhost\b/.test(place.split('/', 1)[0] ?? ''))
    throw new Error(`registry: expected a registry and its namespace, such as docker.io/airbyte, found '${registry}'`);
  return parseRepository(`${place}/${connector}`);
}

function readTag(text: string): Tag | undefined {
  if (text === '') return undefined;
  if (isTag(text)) return text;
  throw new Error(`tag-override: expected a tag of at most 128 letters, digits, _, . and -, found '${text}'`);
}

function readRelease(text: string): BuildOptions['release'] {
  if (text === '') return undefined;
  if (text === 'pre-release' || text === 'main-release') return text;
  throw new Error(`release-type: expected pre-release or main-release, found '${text}'`);
}

function readAccount(username: string, password: string): Inputs['account'] {
  if (username !== '' && password !== '') return { username, password };
  if (username === '' && password === '') return undefined;
  const missing = username === '' ? 'docker-hub-username' : 'docker-hub-password';
  throw new Error(`${missing}: expected it beside the other one, found nothing`);
}

function readLandfall(value: (name: string) => string, connector: string): LandfallInputs | undefined {
  const text = value('landfall-url');
  if (text === '') return undefined;
  // URL.parse is newer than the runtime of some runners.
  const url = URL.canParse(text) ? new URL(text) : null;
  const expected = 'landfall-url: expected the URL of Landfall for operators, such as https://landfall.example.org';
  if (url === null || !/^https?:$/.test(url.protocol) || `${url.search}${url.hash}${url.username}${url.password}` !== '')
    throw new Error(expected);
  // Whoever reads the token on the way could build in its place.
  if (isPlainHttp(url)) throw new Error(`${expected}; found http://, where everybody on the way can read the job's token`);
  const bare = url.href.replace(/\/+$/, '');
  const seconds = Number(value('timeout-seconds') || defaultSeconds);
  if (!(seconds > 0 && seconds <= longestSeconds))
    throw new Error(
      `timeout-seconds: expected a number of seconds above 0 and up to ${longestSeconds}; found '${value('timeout-seconds')}'`,
    );
  const build = value('build') || connector;
  if (build.includes('*')) throw new Error(`build: expected the name of one build, found '${build}', which means several`);
  return { url: bare, audience: value('audience') || bare, build, timeoutMs: seconds * 1_000 };
}
