import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

/** A connector of a repository like Airbyte's. */
export interface Connector {
  readonly name: string;
  readonly type: 'python' | 'manifest-only';
  /** From the root of the repository. */
  readonly directory: string;
  readonly baseImage: string;
  readonly version: string;
  /** From the root of the repository. */
  readonly dockerfile: string;
}

const languages = { python: 'python', 'manifest-only': 'manifest-only' } as const;

/** @param root the checkout @throws Error that says which file was expected to say what */
export function readConnector(root: string, name: string): Connector {
  const directory = join('airbyte-integrations', 'connectors', name);
  if (!existsSync(join(root, directory)))
    throw new Error(
      `connector-name: expected the folder ${directory}, found none: check the name, and that the repository is checked out`,
    );
  const file = join(directory, 'metadata.yaml');
  if (!existsSync(join(root, file))) throw new Error(`expected ${file}, found none: every connector has one`);
  const data = dataOf(readFileSync(join(root, file), 'utf8'), file);
  const type = typeOf(data, file);
  const dockerfile = join('docker-images', `Dockerfile.${type}-connector`);
  if (!existsSync(join(root, dockerfile)))
    throw new Error(`expected the Dockerfile of ${type} connectors at ${dockerfile}, found none`);
  return {
    name,
    type,
    directory,
    baseImage: textOf(
      data,
      ['connectorBuildOptions', 'baseImage'],
      file,
      'an image such as docker.io/airbyte/python-connector-base:4.0.0',
    ),
    version: textOf(data, ['dockerImageTag'], file, 'a version such as 1.2.3'),
    dockerfile,
  };
}

function dataOf(text: string, file: string): unknown {
  let whole: unknown;
  try {
    whole = parse(text);
  } catch (error) {
    throw new Error(`expected ${file} to be YAML: ${error instanceof Error ? error.message.split('\n', 1)[0] : error}`);
  }
  const data = member(whole, 'data');
  if (typeof data !== 'object' || data === null) throw new Error(`expected data in ${file}, found none`);
  return data;
}

function typeOf(data: unknown, file: string): Connector['type'] {
  const tags = member(data, 'tags');
  const found = Array.isArray(tags) ? tags.flatMap((tag) => /^language:(.+)$/.exec(String(tag))?.[1] ?? []) : [];
  const known = found.find((language): language is Connector['type'] => language in languages);
  if (known !== undefined) return known;
  throw new Error(
    `expected the tag language:python or language:manifest-only in ${file}, found ${found.map((each) => `language:${each}`).join(', ') || 'none'}: ` +
      'only connectors in Python and manifest-only ones are built',
  );
}

function textOf(data: unknown, path: readonly string[], file: string, expected: string): string {
  const found = path.reduce<unknown>(member, data);
  if (typeof found === 'string' && found.trim() !== '') return found.trim();
  throw new Error(
    `expected data.${path.join('.')} in ${file} to be ${expected}, found ${found === undefined ? 'nothing' : JSON.stringify(found)}`,
  );
}

function member(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
}
