import assert from 'node:assert/strict';
import { loadConfiguration } from '../../src/config/load.ts';
import { plansFor } from '../../src/config/plans.ts';
import type { Environment } from '../../src/domain/environment.ts';
import type { Repository, Tag } from '../../src/domain/image-reference.ts';
import { product } from '../../src/product.ts';
import { eventDropIn } from '../../src/sources/event/drop-in.ts';
import { eventFromEnvironment, eventSource } from '../../src/sources/event/index.ts';
import { contextOf } from '../api/support/receivers.ts';

const audience = 'https://landfall.example.org';

describe('the settings of events', () => {
  const check = () => undefined;
  const read = (value: unknown) => eventSource.settings(check).safeParse(value);
  const whole = { audience, owners: 'team', imagePrefix: 'ghcr.io/team/' };

  it('take one or a list, and leave out slashes at the end of issuers', () => {
    assert.deepEqual(read({ ...whole, issuers: [{ github: true }, { gitlab: 'https://gitlab.com/' }] }).data, {
      audience: [audience],
      owners: ['team'],
      imagePrefix: ['ghcr.io/team/'],
      issuers: [{ github: true }, { gitlab: 'https://gitlab.com' }],
    });
  });

  it('refuse what would let strangers in, or in the clear', () => {
    const { owners: _, ...withoutOwners } = whole;
    assert.match(read(withoutOwners).error?.message ?? '', /expected owners/);
    assert.ok(read({ ...withoutOwners, issuers: [{ github: true, owners: ['team'] }] }).success);
    assert.deepEqual(read({ ...withoutOwners, ownerIds: [1234, '5'], repositoryIds: 77 }).data?.ownerIds, ['1234', '5']);
    for (const ownerIds of [[], 'x', -1, 1.5, ['1', 'x']])
      assert.ok(!read({ ...withoutOwners, ownerIds }).success, String(ownerIds));
    assert.ok(
      !read({ ...withoutOwners, issuers: [{ github: true, owners: ['team'] }, { gitlab: 'https://gitlab.com' }] }).success,
    );
    for (const gitlab of [
      'http://gitlab.example',
      'https://user:pass@gitlab.example',
      'https://x.example?a=b',
      'gitlab.com',
      true,
      7,
    ]) {
      assert.ok(!read({ ...whole, issuers: [{ gitlab }] }).success, String(gitlab));
    }
    assert.ok(read({ ...whole, issuers: [{ gitlab: 'http://127.0.0.1:8080' }] }).success);
    for (const missing of ['audience', 'imagePrefix']) assert.ok(!read({ ...whole, [missing]: undefined }).success, missing);
    for (const owners of ['', [], [''], 7, null]) assert.ok(!read({ ...whole, owners }).success, JSON.stringify(owners));
    assert.ok(!read({ ...whole, issuers: [{ github: true, gitlab: 'https://gitlab.com' }] }).success);
    assert.ok(!read({ ...whole, issuers: [{ github: false }] }).success);
    assert.ok(!read({ ...whole, surprise: 1 }).success);
  });

  it('open the receiver only where they are there', () => {
    assert.deepEqual(eventSource.open({}, contextOf({})), []);
    assert.deepEqual(
      eventSource.open({ event: read(whole).data }, contextOf({})).map(({ path }) => path),
      ['/event'],
    );
  });

  const three = { GITHUB_OIDC_AUDIENCE: audience, GITHUB_ALLOWED_ORG: 'team', ALLOWED_IMAGE_PREFIX: 'ghcr.io/team/' };

  it('come from three variables alone', () => {
    const found = eventFromEnvironment(three);
    assert.deepEqual(found, {
      settings: {
        audience: [audience],
        owners: ['team'],
        imagePrefix: ['ghcr.io/team/'],
        issuers: [{ github: 'https://token.actions.githubusercontent.com' }],
      },
    });
    const elsewhere = eventFromEnvironment({ ...three, GITHUB_OIDC_ISSUER: 'https://ghes.example/_services/token/' });
    assert.match(JSON.stringify(elsewhere), /"github":"https:\/\/ghes.example\/_services\/token"/);
    assert.equal(eventFromEnvironment({ PATH: '/bin', GITHUB_OIDC_AUDIENCE: '' }), undefined);
  });

  it('name the variables that are missing', () => {
    const { GITHUB_ALLOWED_ORG: _, ...two } = three;
    assert.match(JSON.stringify(eventFromEnvironment(two)), /problem.*but GITHUB_ALLOWED_ORG is not set/);
    const one = eventFromEnvironment({ ALLOWED_IMAGE_PREFIX: 'x', GITHUB_ALLOWED_ORG: ' ' });
    assert.match(JSON.stringify(one), /but GITHUB_OIDC_AUDIENCE and GITHUB_ALLOWED_ORG are not set/);
    assert.match(
      JSON.stringify(eventFromEnvironment({ ...three, GITHUB_OIDC_ISSUER: 'http://evil.example' })),
      /problem.*https:/,
    );
  });

  it('want a registry or an owner, with its slash, before all images: without, others begin alike', () => {
    const found = eventFromEnvironment({ ...three, ALLOWED_IMAGE_PREFIX: 'ghcr.io' });
    assert.match(
      JSON.stringify(found),
      /ALLOWED_IMAGE_PREFIX: expected a registry and an owner, such as ghcr.io\/my-org\/, found 'ghcr.io'/,
    );
  });

  const made = (env: Environment) => {
    const dropIn = eventDropIn(env);
    const loaded = dropIn && loadConfiguration('landfall.yaml', env, product, { text: dropIn.text });
    return { dropIn, loaded, ...(loaded && 'configuration' in loaded && { configuration: loaded.configuration }) };
  };

  it('stand for a whole configuration, as of kuberollouttrigger: each tag of what is below the prefix, in all namespaces', () => {
    const { configuration, dropIn } = made({ ...three, ALLOWED_IMAGE_PREFIX: 'ghcr.io/UnitVectorY-Labs/' });
    assert.ok(configuration && dropIn);
    const [plan] = plansFor(configuration, 'ghcr.io/unitvectory-labs/deep/app' as Repository, 'dev' as Tag);
    assert.deepEqual([plan?.service, plan?.checks], ['deep__app@dev', []]);
    const [{ deploy, change, watch, rollback } = {}, ...others] = plan?.stages ?? [];
    assert.deepEqual([change, watch, rollback, others], [undefined, undefined, 'auto', []]);
    const wanted = { namespace: '*', workloads: { image: 'tag' }, pin: 'tag' };
    assert.partialDeepStrictEqual(deploy, { kind: 'kubernetes', settings: wanted });
    assert.deepEqual(plansFor(configuration, 'ghcr.io/other/app' as Repository, 'dev' as Tag), []);
    const { listen, log, receivers, registries } = configuration;
    assert.deepEqual(
      [listen.webhooks, log.level, Object.keys(receivers), registries],
      [{ host: '0.0.0.0', port: 8080 }, 'info', ['event'], {}],
    );
    assert.match(dropIn.warning ?? '', /^Nothing is scanned or smoke-tested: for that, .*landfall\.yaml[^\n]*$/);
    assert.equal(made({ PATH: '/bin' }).dropIn, undefined);
  });

  it('know the other variables of kuberollouttrigger: those that say something, and those that are for nothing', () => {
    const more = {
      WEB_LISTEN_ADDR: ':9090',
      LOG_LEVEL: 'WARN',
      VALKEY_ADDR: 'valkey:6379',
      VALKEY_CHANNEL: 'x',
      DEV_MODE: 'true',
    };
    const { configuration, dropIn } = made({ ...three, ALLOWED_IMAGE_PREFIX: '127.0.0.1:5000/team/', ...more });
    assert.deepEqual(configuration?.listen.webhooks, { host: '0.0.0.0', port: 9090 });
    assert.equal(configuration?.log.level, 'warn');
    assert.equal(configuration?.registries['127.0.0.1:5000']?.plainHttp, true);
    assert.match(dropIn?.warning ?? '', /without effect: VALKEY_ADDR, VALKEY_CHANNEL\..*\n.*DEV_MODE/);
    assert.deepEqual(made({ ...three, WEB_LISTEN_ADDR: '127.0.0.1:81' }).configuration?.listen.webhooks, {
      host: '127.0.0.1',
      port: 81,
    });
    const { GITHUB_OIDC_AUDIENCE: _, ...two } = three;
    assert.match(JSON.stringify(made(two).loaded), /but GITHUB_OIDC_AUDIENCE is not set: set all of them, or none/);
  });
});
