import assert from 'node:assert/strict';
import { z } from 'zod';
import { defineCheck } from '../../src/checks/check.ts';
import { loadConfiguration } from '../../src/config/load.ts';
import { planOf } from '../../src/config/plans.ts';
import { configurationJsonSchema } from '../../src/config/schema.ts';
import { stageStepNames } from '../../src/domain/rollout-state.ts';
import { product } from '../../src/product.ts';
import { formatProblem } from '../../src/settings/problem.ts';
import { map } from '../../src/settings/wording.ts';
import { withFile } from '../config/support.ts';

/** A check that the product does not have, with a choice and a section of its own. */
const signature = defineCheck({
  kind: 'signature',
  title: 'Signed',
  byDefault: false,
  needsDocker: false,
  keys: 'key, issuer',
  schema: () => map({ key: z.string().exactOptional(), issuer: z.string().exactOptional() }, 'Who signed it.'),
  alternatives: { '': [['key', 'issuer']] },
  resolve: (input, complain) => {
    if (input.key === undefined && input.issuer === undefined) complain(['key'], 'expected a key or an issuer, found neither');
    return { settings: input, timeoutMs: 1_000 };
  },
  fill: ({ issuer, ...rest }, fill) => ({ ...rest, ...(issuer !== undefined && { issuer: fill(issuer) }) }),
  section: { key: 'cosign', schema: () => map({ offline: z.boolean().exactOptional() }, 'How signatures are verified.') },
  create: () => ({ check: async () => ({ kind: 'checked', text: 'signed', evidence: [] }) }),
});
const kinds = { ...product, checks: [signature, ...product.checks] };

interface Described {
  readonly properties: object;
}

function load(text: string) {
  return withFile(text, (file) => {
    const loaded = loadConfiguration(file, {}, kinds);
    return 'problems' in loaded ? loaded.problems.map(formatProblem).join('\n').replaceAll(file, 'FILE') : loaded.configuration;
  });
}

describe('a kind of check that is handed in', () => {
  it('is in the JSON Schema: in services, in the defaults, and with a section of its own', () => {
    const { properties } = configurationJsonSchema(kinds) as {
      properties: { defaults: Described; services: { items: Described } } & Record<string, object>;
    };
    for (const { properties: keys } of [properties.defaults, properties.services.items]) assert.ok('signature' in keys);
    assert.ok('cosign' in properties);
    assert.ok(!Object.hasOwn(configurationJsonSchema(product).properties ?? {}, 'cosign'));
  });

  it('is read, merged with the defaults, filled in, and put into the plan', () => {
    const configuration = load(`
cosign: { offline: true }
defaults: { signature: { key: k } }
services: [{ image: a/keyed }, { image: a/issued, signature: { issuer: "ci/{service}" } }, { image: a/off, signature: off }]`);
    assert.ok(typeof configuration === 'object', String(configuration));
    assert.deepEqual(configuration.sections, { cosign: { offline: true }, trivy: { offline: false } });
    const checks = ['keyed', 'issued', 'off'].map((name) => planOf(configuration, name)?.checks ?? []);
    assert.deepEqual(
      checks.map(([first]) => [first?.kind, first?.settings]),
      [
        ['signature', { key: 'k' }],
        ['signature', { issuer: 'ci/issued' }],
        ['scan', { failOn: 'critical', ignoreUnfixed: false, ignore: [] }],
      ],
    );
    assert.deepEqual(checks[0]?.[0], { ...checks[0]?.[0], title: 'Signed', after: [], timeoutMs: 1_000, needsDocker: false });
  });

  it('is waited for by a check that comes last', () => {
    const configuration = load(
      'services: [{ image: a/app, signature: { key: k }, integration: { compose: c.yml, test: { image: t } } }]',
    );
    assert.ok(typeof configuration === 'object', String(configuration));
    assert.deepEqual(planOf(configuration, 'app')?.checks.at(-1)?.after, ['signature', 'scan', 'smoke']);
  });

  it('says what is wrong with its settings, and where', () => {
    assert.equal(
      load('services: [{ image: a/app, signature: {} }]'),
      'FILE:1: services[0].signature.key: expected a key or an issuer, found neither',
    );
    assert.match(String(load('services: [{ image: a/app, signature: 1 }]')), /expected off or a map \(key, issuer\), found 1/);
    assert.match(
      String(load('services: [{ image: a/app, signature: { key: k }, dispatch: { payload: quay } }]')),
      /expected no signature beside a dispatch per push/,
    );
  });
});

describe('the checks of the product', () => {
  it('have names that nothing else in a service, among the steps, or among themselves has', () => {
    const names = product.checks.map(({ kind }) => kind);
    assert.equal(new Set(names).size, names.length);
    for (const taken of ['verify', ...stageStepNames]) assert.ok(!names.includes(taken), taken);
    const { services } = configurationJsonSchema({ ...product, checks: [] }).properties as {
      services: { items: { properties: object } };
    };
    for (const name of names) assert.ok(!Object.hasOwn(services.items.properties, name), name);
  });
});
