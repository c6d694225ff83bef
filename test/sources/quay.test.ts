import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { quaySource } from '../../src/sources/quay/index.ts';
import { contextOf, imagesOf, isAuthentic, only, type ParsedPushes, parseWith, receivedAt } from '../api/support/receivers.ts';
import { vectorsOf } from '../api/support/vectors.ts';

const pushReceiver = only(quaySource.open({ quay: { secrets: ['env:SECRET'] } }, contextOf({ SECRET: 'secret' })));
const buildReceiver = only(quaySource.open({ quay: { certificate: { subject: '*.quay.io' } } }, contextOf({})));
const commit = '42d4a62c53350993ea41069e9f2cfdefb0df097d';

describe('the Quay receivers', () => {
  for (const receiver of [pushReceiver, buildReceiver]) {
    for (const { name, raw, images } of vectorsOf('quay')) {
      it(`take exactly the listed images from ${name} on ${receiver.path}`, () => {
        assert.deepEqual(imagesOf(parseWith(receiver, JSON.parse(raw))), images);
      });
    }
  }

  it('know the build: its id, its commit and where its source is', () => {
    const { pushes, ...seen } = parse(built({ docker_tags: ['latest', 'main', 'latest'] }));
    assert.deepEqual(seen, { event: 'build_success', deliveryId: buildId });
    const about = {
      source: 'quay',
      deliveryId: buildId,
      buildId,
      repository: 'quay.io/team/app',
      commit,
      sourceRepository: 'org/source',
    };
    assert.deepEqual(pushes, [
      { ...about, tag: 'latest', receivedAt },
      { ...about, tag: 'main', receivedAt },
    ]);
  });

  it('make up an id where there is none, or one that could do harm in the id of a workflow or in a log', () => {
    for (const build_id of [undefined, null, '', 7, 'a b', 'a\nb', 'a:b', '../x', 'é', '-x', 'x'.repeat(101)]) {
      const parsed = parse(built({ build_id }));
      assert.match(parsed.deliveryId, /^[0-9a-f]{8}-[0-9a-f-]{27}$/, String(build_id));
      assert.equal(parsed.pushes[0]?.buildId, undefined);
    }
    for (const body of [repositoryPush(), built({ build_id: 'fake-build-id' })]) {
      const ids = [parse(body).deliveryId, parse(body).deliveryId];
      assert.equal(new Set(ids).size, 2);
    }
  });

  it('leave the commit out where there is none: a build by hand has other metadata, or nothing', () => {
    const commitOf = (trigger_metadata: unknown) => {
      const [push] = parse(built({ trigger_metadata })).pushes;
      assert.equal(push?.tag, 'latest');
      return push.commit;
    };
    assert.equal(commitOf({ commit: commit.toUpperCase() }), commit);
    assert.equal(commitOf({ commit: '42d4a62' }), '42d4a62');
    assert.equal(commitOf({ commit: null, commit_sha: commit }), commit);
    for (const none of [undefined, null, {}, [], 'x', { commit: '' }, { commit: 'main' }, { commit: '42d4a6' }, { commit: 42 }]) {
      assert.equal(commitOf(none), undefined, JSON.stringify(none));
    }
  });

  it('know the source repository by the URL that was cloned', () => {
    const of = (git_url: unknown) => parse(built({ trigger_metadata: { git_url } })).pushes[0]?.sourceRepository;
    for (const url of [
      'git@github.com:org/repo.git',
      'git@github.com:org/repo',
      'git@GitHub.com:org/repo.git',
      'https://github.com/org/repo',
      'https://github.com/org/repo.git/',
      'https://user:canary@github.com/org/repo.git',
      'ssh://git@github.com:22/org/repo.git',
      'git://github.com/org/repo.git',
    ]) {
      assert.equal(of(url), 'org/repo', url);
    }
    assert.equal(of('git@gitlab.com:group/sub/repo.git'), 'https://gitlab.com/group/sub/repo');
    assert.equal(of('git@bitbucket.org:org/repo.git'), 'https://bitbucket.org/org/repo');
    assert.equal(of('https://user:canary@git.example.org:8443/org/repo.git'), 'https://git.example.org:8443/org/repo');
    for (const none of [
      undefined,
      null,
      1,
      '',
      'org/repo',
      'git@github.com:repo',
      'git@github.com:../repo',
      'file:///etc/passwd',
      'javascript:alert(1)',
      'git@github.com:o/r\nx',
      `https://github.com/${'a/'.repeat(200)}`,
      `https://github.com/org/${'x'.repeat(300)}`,
    ]) {
      assert.equal(of(none), undefined, String(none));
    }
  });

  it('take what Quay tags by itself where a build names no tags, and nothing where its list is empty', () => {
    for (const docker_tags of [undefined, null, 'latest', 7]) assert.deepEqual(tagsOf(built({ docker_tags })), ['latest']);
    for (const docker_tags of [[], ['', 'a b', null, 7, {}, `sha256:${'0'.repeat(64)}`, 'x'.repeat(129)]]) {
      assert.deepEqual(tagsOf(built({ docker_tags })), []);
      assert.equal(parse(built({ docker_tags })).ignored, 'no tag was pushed');
    }
    assert.deepEqual(tagsOf({ repository: 'team/app', trigger_metadata: { commit } }), ['latest']);
    assert.deepEqual(tagsOf(repositoryPush({ updated_tags: ['v1', null, 'v1', 'a b', 'V1'] })), ['v1', 'V1']);
    assert.deepEqual(tagsOf(repositoryPush({ updated_tags: { latest: 'b750fe79', v2: null } })), ['latest', 'v2']);
  });

  it('name images after docker_url, and after quay.io only where there is none', () => {
    const at = (fields: object) => parse(repositoryPush(fields)).pushes[0]?.repository;
    assert.equal(at({ docker_url: 'HTTPS://Quay.Example.org:8443/Team/App/' }), 'quay.example.org:8443/team/app');
    assert.equal(at({ docker_url: 'localhost:8080/team/app' }), 'localhost:8080/team/app');
    for (const docker_url of [undefined, null, '', ' ', 7]) {
      assert.equal(at({ docker_url, repository: 'Team/App' }), 'quay.io/team/app');
      assert.equal(at({ docker_url, repository: null, namespace: 'team', name: 'app' }), 'quay.io/team/app');
    }
    // Another registry's image must never be taken for one of quay.io.
    for (const docker_url of [
      'quay/team/app',
      'team/app',
      'https://',
      'quay.example.org',
      'quay.example.org/a b',
      'x'.repeat(100_000),
      `a${'/'.repeat(200_000)}b`,
    ]) {
      assert.throws(() => at({ docker_url }), { name: 'Problem', status: 400, message: /docker_url/ }, docker_url.slice(0, 50));
    }
    for (const repository of ['../app', 'team/app:latest', 'a b']) {
      assert.throws(() => at({ docker_url: '', repository }), { name: 'Problem', status: 400 }, repository);
    }
  });

  it('tell other notifications by their shape, and start nothing', () => {
    const { image_id, manifest_digests, ...unfinished } = built();
    const described = { repository: 'team/app', namespace: 'team', name: 'app', docker_url: 'quay.io/team/app' };
    const vulnerability = { id: 'CVE-1234-5678', priority: 'Critical', has_fix: true };
    const others: [string, object, RegExp][] = [
      ['build_failure', { ...unfinished, error_message: 'Could not pull' }, /has failed/],
      ['build_failure', built({ error_message: '' }), /has failed/],
      ['build_queued', { ...unfinished, build_name: undefined, is_manual: false, manual_user: null }, /was queued/],
      ['build_start', unfinished, /started or cancelled/],
      ['vulnerability_found', { ...described, tags: ['latest'], vulnerability }, /vulnerability/],
      ['vulnerability_found', { ...described, tags: ['latest'], vulnerabilities: [vulnerability] }, /vulnerability/],
      ['notification', { ...described, message: 'Mirror started', tags: ['latest'] }, /expected a pushed tag/],
      ['notification', { namespace: 'team', homepage: 'https://quay.io/organization/team' }, /expected a pushed tag/],
      ['notification', repositoryPush({ updated_tags: 'latest' }), /expected a pushed tag/],
    ];
    for (const [event, body, why] of others) {
      const parsed = parse(body);
      assert.deepEqual([parsed.event, parsed.pushes], [event, []]);
      assert.match(parsed.ignored ?? '', why);
    }
  });

  it('take a success of an old Quay, which names neither the image nor the build', () => {
    const { image_id, manifest_digests, build_name, ...documented } = built();
    assert.deepEqual(imagesOf(parse(documented)), [{ repository: 'quay.io/team/app', tag: 'latest', digest: null, commit }]);
    assert.equal(parse({ ...documented, build_name, image_id }).event, 'build_success');
    assert.equal(parse({ ...documented, build_name, manifest_digests }).event, 'build_success');
  });

  it('refuse what is no notification', () => {
    for (const body of [null, [], 'push', 1, {}, { repository: 7 }, { docker_url: null, updated_tags: ['latest'] }]) {
      assert.throws(() => parse(body), { name: 'Problem', status: 400, message: /^Expected/ }, JSON.stringify(body));
    }
    const many = Array.from({ length: 1001 }, (_, index) => `t${index}`);
    assert.throws(() => parse(repositoryPush({ updated_tags: many })), { name: 'Problem', status: 400, message: /1000 tags/ });
    assert.equal(tagsOf(repositoryPush({ updated_tags: many.slice(1) })).length, 1000);
  });
});

describe('the configuration of Quay', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'landfall-quay-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const open = (quay: Parameters<typeof quaySource.open>[0]['quay']) =>
    quaySource.open({ quay }, { ...contextOf({ SECRET: 'canary' }), directory: folder });

  it('opens /webhook/quay with secrets, /incoming with a certificate, both with both', () => {
    const pathsOf = (...settings: Parameters<typeof open>) => open(...settings).map(({ source, path }) => `${source} ${path}`);
    assert.deepEqual(pathsOf({ secrets: ['env:SECRET'] }), ['quay /webhook/quay']);
    assert.deepEqual(pathsOf({ certificate: {} }), ['quay /incoming']);
    assert.deepEqual(pathsOf({ secrets: ['env:SECRET'], certificate: {} }), ['quay /webhook/quay', 'quay /incoming']);
    assert.deepEqual(pathsOf(undefined), []);
  });

  it('takes on /incoming only a certificate that is trusted and has the name', async () => {
    const [receiver] = open({ certificate: {} });
    assert.ok(receiver);
    assert.equal(await isAuthentic(receiver, { certificate: { names: ['*.quay.io'] } }), true);
    assert.equal(await isAuthentic(receiver, { certificate: { names: ['*.quay.io'], distrust: 'expired' } }), false);
    assert.equal(await isAuthentic(receiver, { certificate: { names: ['*.example.org'] } }), false);
    assert.equal(await isAuthentic(receiver, {}), false);
    assert.equal(await isAuthentic(receiver, { pathSecret: 'canary', headers: { authorization: 'canary' } }), false);
    assert.equal(receiver.secretInPath ?? false, false);
  });

  it('takes on /incoming, beside the certificate of all accounts of quay.io, only one of its secrets', async () => {
    const [, receiver] = open({ secrets: ['env:SECRET'], certificate: {} });
    assert.ok(receiver);
    const certificate = { names: ['*.quay.io'] };
    assert.equal(receiver.secretInPath, true);
    assert.match(receiver.authenticationAdvice, /after \/incoming\/ in the URL/);
    assert.equal(await isAuthentic(receiver, { certificate, pathSecret: 'canary' }), true);
    assert.equal(await isAuthentic(receiver, { certificate, headers: { authorization: 'Bearer canary' } }), true);
    assert.equal(await isAuthentic(receiver, { certificate }), false);
    assert.equal(await isAuthentic(receiver, { certificate, pathSecret: 'canar' }), false);
    assert.equal(await isAuthentic(receiver, { pathSecret: 'canary' }), false);
    const [, ofOwn] = open({ secrets: ['env:SECRET'], certificate: { subject: 'hooks.example.org' } });
    assert.ok(ofOwn);
    assert.equal(await isAuthentic(ofOwn, { certificate: { names: ['hooks.example.org'] } }), true);
  });

  it('refuses the certificate of a shared Quay alone, whatever stands beside it that is no secret', () => {
    const schema = quaySource.settings(() => undefined);
    for (const certificate of [
      {},
      { subject: '*.quay.io' },
      { subject: 'Hooks.Quay.IO' },
      { subject: '*.io' },
      { ca: 'ca.pem' },
    ]) {
      for (const beside of [{}, { networks: ['203.0.113.0/24'] }]) {
        const { error } = schema.safeParse({ certificate, ...beside });
        assert.deepEqual(
          error?.issues.map(({ path }) => path),
          [['certificate']],
          JSON.stringify(certificate),
        );
        assert.match(error?.issues[0]?.message ?? '', /expected secrets beside it: quay\.io shows the same certificate/);
      }
    }
  });

  it('counts on /incoming only the images of its owners, where it has such a list', () => {
    const [receiver] = open({ certificate: { owners: ['Team'] } });
    assert.ok(receiver);
    assert.equal(parseWith(receiver, built()).pushes.length, 1);
    const strangers = { repository: 'evil/app', namespace: 'evil', docker_url: 'quay.io/evil/app' };
    for (const body of [
      built(strangers),
      built({ docker_url: 'quay.io/teamwork/app' }),
      built({ docker_url: 'quay.io/x/team' }),
    ]) {
      const { pushes, ignored } = parseWith(receiver, body);
      assert.deepEqual(pushes, []);
      assert.match(ignored ?? '', /none of receivers\.quay\.certificate\.owners/);
    }
  });

  it('takes another subject, and networks that the certificate must come from', async () => {
    const [receiver] = open({ certificate: { subject: 'hooks.example.org' }, networks: ['203.0.113.0/24'] });
    assert.ok(receiver);
    const certificate = { names: ['Hooks.example.org'] };
    assert.equal(await isAuthentic(receiver, { certificate, address: '::ffff:203.0.113.1' }), true);
    assert.equal(await isAuthentic(receiver, { certificate, address: '192.0.2.1' }), false);
    assert.equal(await isAuthentic(receiver, { certificate: { names: ['*.quay.io'] }, address: '203.0.113.1' }), false);
  });

  it('asks for certificates of its own authority, whose file is read again each time', () => {
    const pem = (text: string) => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;
    writeFileSync(join(folder, 'ca.pem'), pem('first'));
    const [receiver] = open({ certificate: { ca: 'ca.pem' } });
    assert.equal(receiver?.clientCertificates?.ca?.(), pem('first'));
    writeFileSync(join(folder, 'ca.pem'), pem('second'));
    assert.equal(receiver.clientCertificates.ca(), pem('second'));
    const [ofNode] = open({ certificate: {} });
    assert.deepEqual(ofNode?.clientCertificates, {});
  });

  it('does not start with an authority that is none', () => {
    writeFileSync(join(folder, 'key.pem'), '-----BEGIN PRIVATE KEY-----\n');
    assert.throws(
      () => open({ certificate: { ca: 'absent.pem' } }),
      /receivers\.quay\.certificate\.ca: expected .*absent\.pem.*ENOENT/,
    );
    assert.throws(() => open({ certificate: { ca: 'key.pem' } }), /receivers\.quay\.certificate\.ca: expected .*found none/);
  });

  it('has secrets, or a certificate, or both', () => {
    const schema = quaySource.settings(() => undefined);
    const good = [
      { secrets: 'env:X', certificate: {} },
      { certificate: { subject: 'hooks.example.org' } },
      { certificate: { owners: 'team' } },
      { secrets: 'env:X', certificate: { ca: 'ca.pem', subject: '*.example.org' }, networks: ['::1'] },
    ];
    for (const settings of good) assert.equal(schema.safeParse(settings).success, true, JSON.stringify(settings));
    const none = schema.safeParse({ networks: ['::1'] });
    assert.deepEqual(
      none.error?.issues.map(({ message }) => message),
      ['expected secrets, or certificate with the subject of your own Quay, or both'],
    );
    for (const wrong of [
      { certificate: null },
      { certificate: { subject: '*' } },
      { certificate: { ca: '' } },
      { certificate: { key: 'x' } },
    ]) {
      assert.equal(schema.safeParse(wrong).success, false, JSON.stringify(wrong));
    }
  });
});

const buildId = '296ec063-5f86-4706-a469-f0a400bf9df2';

function tagsOf(body: object): readonly unknown[] {
  return parse(body).pushes.map(({ tag }) => tag);
}

function parse(body: unknown): ParsedPushes {
  return parseWith(buildReceiver, body);
}

function repositoryPush(fields: object = {}): object {
  return {
    name: 'app',
    repository: 'team/app',
    namespace: 'team',
    docker_url: 'quay.io/team/app',
    updated_tags: ['latest'],
    ...fields,
  };
}

/** As Quay's manual has it. */
function built(fields: object = {}) {
  return {
    build_id: buildId,
    trigger_kind: 'github',
    name: 'app',
    repository: 'team/app',
    namespace: 'team',
    docker_url: 'quay.io/team/app',
    trigger_id: '38b6e180-9521-4ff7-9844-acf371340b9e',
    docker_tags: ['latest'] as unknown,
    build_name: '42d4a62',
    image_id: `sha256:${'0'.repeat(64)}`,
    manifest_digests: [`quay.io/team/app@sha256:${'1'.repeat(64)}`],
    trigger_metadata: { commit, ref: 'refs/heads/main', default_branch: 'main', git_url: 'git@github.com:org/source.git' },
    homepage: `https://quay.io/repository/team/app/build/${buildId}`,
    ...fields,
  };
}
