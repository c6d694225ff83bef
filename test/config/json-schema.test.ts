import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { parse } from 'yaml';
import { loadConfiguration } from '../../src/config/load.ts';
import { configurationJsonSchema } from '../../src/config/schema.ts';
import { starterConfiguration } from '../../src/config/starter.ts';
import { noticeEvents } from '../../src/domain/plan.ts';
import { product } from '../../src/product.ts';
import { formatProblem } from '../../src/settings/problem.ts';

const examples = fileURLToPath(new URL('../../examples/', import.meta.url));
const files = readdirSync(examples, { encoding: 'utf8', recursive: true }).filter((name) => name.endsWith('.yaml'));
const secrets = [
  'WEBHOOK_SECRET',
  'REGISTRY_HOOK_TOKEN',
  'GHCR_USER',
  'GHCR_TOKEN',
  'GITHUB_TOKEN',
  'GITHUB_APP_KEY',
  'TEMPORAL_API_KEY',
  'LANDFALL_KEY',
  'TEST_PASSWORD',
  'ANN_TOKEN_HASH',
  'BEN_TOKEN_HASH',
  'DISCORD_WEBHOOK_URL',
  'MAIL_URL',
];
const env = Object.fromEntries(secrets.map((name) => [name, 'x']));

const ajv = new Ajv2020({ allErrors: true });
addFormats.default(ajv);
const validate = ajv.compile(configurationJsonSchema(product));

describe('the examples', () => {
  it('are there', () => {
    assert.ok(files.includes('landfall.yaml') && files.length >= 3);
  });

  for (const name of files) {
    it(`${name} loads, and names each secret that it needs`, () => {
      const loaded = loadConfiguration(`${examples}${name}`, env, product);
      assert.ok('configuration' in loaded, 'problems' in loaded ? loaded.problems.map(formatProblem).join('\n') : '');
      const text = readFileSync(`${examples}${name}`, 'utf8');
      const comment = text
        .split('\n')
        .filter((line) => line.startsWith('#'))
        .join('\n');
      for (const [, variable = ''] of text.matchAll(/env:(\w+)\b(?!\?)/g))
        assert.ok(comment.includes(variable), `${variable} in the head of ${name}`);
    });

    it(`${name} is right by the JSON Schema, too`, () => {
      assert.ok(validate(parse(readFileSync(`${examples}${name}`, 'utf8'))), JSON.stringify(validate.errors, null, 1));
    });
  }
});

describe('the JSON Schema', () => {
  it('is draft 2020-12', () => {
    assert.equal(configurationJsonSchema(product).$schema, 'https://json-schema.org/draft/2020-12/schema');
  });

  it('takes the starter', () => {
    assert.ok(validate(parse(starterConfiguration(product))), JSON.stringify(validate.errors));
  });

  it('refuses what the loader refuses by shape', () => {
    for (const text of [
      'sevices: []',
      'services: [{ name: a }]',
      'services: [{ image: a, merge: on }]',
      'services: [{ image: a, deploy: off }]',
      'services: [{ image: a, deploy: { compose: { directory: srv } } }]',
      'services: [{ image: a, watch: { http: { url: "http://a", status: 2xxx } } }]',
      'services: [{ image: a, windows: [{ deny: 5 }] }]',
      'operators: [{ name: a, roles: [rule] }]',
      'notify: [{ slack: { token: env:A } }]',
      'defaults: { smoke: { timeout: 5 } }',
      'defaults: { smoke: { timeout: 5x } }',
    ]) {
      assert.equal(validate(parse(text)), false, text);
    }
  });

  it('describes every section, and every key of a service', () => {
    const { properties } = configurationJsonSchema(product) as { properties: Record<string, Described> };
    const service = properties.services?.items?.properties ?? {};
    for (const [key, value] of [...Object.entries(properties), ...Object.entries(service)]) {
      const described = value.description ?? value.anyOf?.some(({ description }) => description !== undefined);
      assert.ok(described, `${key} has a description`);
    }
  });
});

describe('docs/configuration.md', () => {
  it('names every key that there is', () => {
    const text = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
    const code = [...text.matchAll(/`([^`]+)`/g)].map(([, words = '']) => words).join(' ');
    const known = new Set(code.match(/[A-Za-z]+(?:-[a-z]+)*/g));
    const keys = keysOf(configurationJsonSchema(product));
    assert.ok(keys.length > 100);
    assert.deepEqual(
      keys.filter((key) => !known.has(key)),
      [],
    );
  });

  it('names every notice that there is', () => {
    const text = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
    for (const event of noticeEvents) assert.ok(text.includes(`\`${event}\``), event);
  });
});

/** Every name of a property, at any depth. */
function keysOf(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  if (Array.isArray(schema)) return schema.flatMap(keysOf);
  return Object.entries(schema).flatMap(([key, value]) => [
    ...(key === 'properties' ? Object.keys(value) : []),
    ...keysOf(value),
  ]);
}

interface Described {
  readonly description?: string;
  readonly anyOf?: readonly Described[];
  readonly items?: { readonly properties?: Record<string, Described> };
}
