import { basename, join } from 'node:path';
import { parse } from 'yaml';
import { Refusal } from '../../../domain/failures.ts';
import { memberOf } from '../../../domain/json.ts';
import { kindAt, textAt } from '../../files.ts';
import type { BuildProject } from '../../project.ts';

const languages = ['python', 'manifest-only'] as const;
type Language = (typeof languages)[number];

const templates = 'docker-images';

/**
 * @param root of the checkout @param folder from there, named after the connector
 * @throws Refusal `BuildRefused` that says which file was expected to say what
 */
export async function readConnector(root: string, folder: string): Promise<BuildProject> {
  const name = basename(folder);
  if (!/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(name))
    throw refused(`the name of a connector such as source-faker as the name of its folder`, `'${name}'`);
  if ((await kindAt(root, folder)) !== 'folder')
    throw refused(`the folder ${folder}`, 'none: check the name of the connector, and that the repository is checked out');
  const file = join(folder, 'metadata.yaml');
  const text = await textAt(root, file);
  if (text === undefined) throw refused(file, 'none: every connector has one');
  const data = dataOf(text, file);
  const type = languageOf(data, file);
  const dockerfile = join(templates, `Dockerfile.${type}-connector`);
  if ((await kindAt(root, dockerfile)) !== 'file') throw refused(`the Dockerfile of ${type} connectors at ${dockerfile}`, 'none');
  const baseImage = textOf(
    data,
    ['connectorBuildOptions', 'baseImage'],
    file,
    'an image such as docker.io/airbyte/python-connector-base:4.0.0',
  );
  const version = textOf(data, ['dockerImageTag'], file, 'a version such as 1.2.3');
  return {
    context: folder,
    dockerfile,
    arguments: { BASE_IMAGE: baseImage, CONNECTOR_NAME: name },
    secrets: {},
    labels: { 'io.airbyte.version': version, 'io.airbyte.name': `airbyte/${name}` },
    version,
    facts: { name, type, baseImage, version },
  };
}

function dataOf(text: string, file: string): unknown {
  let whole: unknown;
  try {
    whole = parse(text);
  } catch (error) {
    throw refused(`${file} to be YAML`, error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : String(error));
  }
  const data = memberOf(whole, 'data');
  if (typeof data !== 'object' || data === null) throw refused(`data in ${file}`, 'none');
  return data;
}

function languageOf(data: unknown, file: string): Language {
  const tags = memberOf(data, 'tags');
  const found = Array.isArray(tags) ? tags.flatMap((tag) => /^language:(.+)$/.exec(String(tag))?.[1] ?? []) : [];
  const known = languages.find((language) => found.includes(language));
  if (known !== undefined) return known;
  throw refused(
    `the tag language:python or language:manifest-only in ${file}`,
    `${found.map((each) => `language:${each}`).join(', ') || 'none'}: only connectors in Python and manifest-only ones are built`,
  );
}

function textOf(data: unknown, path: readonly string[], file: string, expected: string): string {
  const found = path.reduce<unknown>(memberOf, data);
  if (typeof found === 'string' && found.trim() !== '') return found.trim();
  throw refused(`data.${path.join('.')} in ${file} to be ${expected}`, found === undefined ? 'nothing' : JSON.stringify(found));
}

function refused(expected: string, found: string): Refusal {
  return new Refusal('BuildRefused', `expected ${expected}, found ${found}`);
}
