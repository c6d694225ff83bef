import { parseRepository, type Repository } from '../../../src/domain/image-reference.ts';

export interface Inputs {
  readonly connector: string;
  /** Where the image belongs: registry and path, the connector's name being the last component. */
  readonly repository: Repository;
  readonly tagOverride: string;
  readonly pushesLatest: boolean;
  readonly releaseType: '' | 'pre-release' | 'main-release';
  readonly dryRun: boolean;
  readonly force: boolean;
  readonly account: { readonly username: string; readonly password: string } | undefined;
}

const tagPattern = /^\w[\w.-]{0,127}$/;

/**
 * @param read an input of the action by its name; the empty text where there is none
 * @throws Error that names the input, what was expected and what was found
 */
export function readInputs(read: (name: string) => string): Inputs {
  const value = (name: string): string => read(name).trim();
  const yes = (name: string, usual: boolean): boolean => {
    const text = value(name).toLowerCase();
    if (text === '') return usual;
    if (text === 'true' || text === 'false') return text === 'true';
    throw new Error(`${name}: expected true or false, found '${text}'`);
  };
  const connector = value('connector-name');
  if (!/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(connector))
    throw new Error(`connector-name: expected the name of a connector such as source-faker, found '${connector}'`);
  const tagOverride = value('tag-override');
  if (tagOverride !== '' && !tagPattern.test(tagOverride))
    throw new Error(`tag-override: expected a tag of at most 128 letters, digits, _, . and -, found '${tagOverride}'`);
  const [dryRun, force] = [yes('dry-run', true), yes('force-publish', false)];
  if (dryRun && force)
    throw new Error('force-publish: expected dry-run: false beside it: with both nobody can tell whether to push');
  return {
    connector,
    repository: readRepository(value('registry') || 'docker.io/airbyte', connector),
    tagOverride,
    pushesLatest: yes('push-latest', false),
    releaseType: readReleaseType(value('release-type'), tagOverride),
    dryRun,
    force,
    account: readAccount(value('docker-hub-username'), value('docker-hub-password')),
  };
}

function readRepository(registry: string, connector: string): Repository {
  const place = registry.replace(/\/+$/, '');
  if (!/[.:]|^localhost\b/.test(place.split('/', 1)[0] ?? ''))
    throw new Error(`registry: expected a registry and its namespace, such as docker.io/airbyte, found '${registry}'`);
  return parseRepository(`${place}/${connector}`);
}

function readReleaseType(text: string, tagOverride: string): Inputs['releaseType'] {
  if (text !== '' && text !== 'pre-release' && text !== 'main-release')
    throw new Error(`release-type: expected pre-release or main-release, found '${text}'`);
  if (text !== '' && tagOverride !== '')
    throw new Error('tag-override: expected no release-type beside it: each of them says what the tag is');
  return text;
}

function readAccount(username: string, password: string): Inputs['account'] {
  if (username !== '' && password !== '') return { username, password };
  if (username === '' && password === '') return undefined;
  const missing = username === '' ? 'docker-hub-username' : 'docker-hub-password';
  throw new Error(`${missing}: expected it beside the other one, found nothing`);
}
