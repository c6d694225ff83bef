import assert from 'node:assert/strict';
import type { AcceptPushes } from '../../src/api/webhooks/accept-pushes.ts';
import { createPortions } from '../../src/api/webhooks/portions.ts';
import { loadConfiguration } from '../../src/config/load.ts';
import { parseRepository } from '../../src/domain/image-reference.ts';
import { product } from '../../src/product.ts';
import { type ReceiverSettings, sources } from '../../src/sources/index.ts';
import { type AllowedImages, allowedImages, ofAny, ofService } from '../../src/sources/kit/allowed-images.ts';
import { startIngress } from '../api/support/ingress.ts';
import { bearer } from '../api/support/vectors.ts';
import { load, problemsIn, withFile } from '../config/support.ts';

const secret = ['env:SECRET'];
const push = { registry: 'registry.example.org', repository: '/name' };

/** Of every source, settings that say nothing of images. */
const settings: ReceiverSettings = {
  github: { secrets: secret, workflows: [{ name: 'build', image: parseRepository('docker.io/team/app') }] },
  distribution: { token: secret },
  quay: { secrets: secret },
  dockerhub: { secrets: secret },
  acr: { secrets: secret },
  aliyun: { secrets: secret },
  harbor: { secrets: secret },
  ecr: { secrets: secret },
  gar: { audience: ['a'], email: ['b'] },
  jfrog: { secrets: secret },
  nexus: { secrets: secret, host: 'nexus.example.org/docker' },
  gitea: { secrets: secret },
  cloudevents: { secrets: secret },
  event: { audience: ['a'], owners: ['team'], imagePrefix: ['ghcr.io/team/'] },
  generic: {
    bound: { secrets: secret, push },
    always: { secrets: secret, push: { repository: 'quay.io/team/app' } },
    open: { secrets: secret, push: { repository: '/name' } },
  },
};

/** In the order of the columns below. */
const hosts = [
  'ghcr.io',
  'quay.io',
  'docker.io',
  'team.azurecr.io',
  'registry.cn-beijing.aliyuncs.com',
  '123456789012.dkr.ecr.eu-west-1.amazonaws.com',
  'europe-docker.pkg.dev',
  'team.jfrog.io',
  'nexus.example.org',
  'registry.example.org',
];

/** `o`: own, `p`: possible, `.`: foreign. */
const standings: Readonly<Record<string, string>> = {
  github: 'o.o.....pp',
  distribution: '........pp',
  quay: '.o......pp',
  dockerhub: '..o.......',
  acr: '...o......',
  aliyun: '....o...pp',
  harbor: '........pp',
  ecr: '.....o....',
  gar: '......o...',
  jfrog: '.......opp',
  nexus: '........o.',
  gitea: '........pp',
  cloudevents: 'pppppppppp',
  event: 'o.........',
  'generic/bound': '.........o',
  'generic/always': '.o........',
  'generic/open': 'pppppppppp',
};

function allowedOf(all: Readonly<Record<string, unknown>>): Readonly<Record<string, AllowedImages>> {
  return Object.fromEntries(
    product.sources.flatMap((source) => {
      const own = all[source.name];
      const found = own === undefined ? [] : (source.allowedImages?.(own) ?? []);
      return found.map(({ path, allowed }) => [[source.name, ...path].join('/'), allowed]);
    }),
  );
}

describe('what receivers may tell of', () => {
  it('is, of every source about every registry, its own service, and what is nobody else’s where people run it themselves', () => {
    const allowed = allowedOf(settings);
    assert.deepEqual(Object.keys(allowed).sort(), Object.keys(standings).sort());
    for (const [name, line] of Object.entries(standings)) {
      const found = hosts.map(
        (host) => ({ own: 'o', possible: 'p', foreign: '.' })[allowed[name]?.standingOf(host) ?? 'foreign'],
      );
      assert.equal(found.join(''), line, name);
      if (name === 'event' || name === 'github') continue;
      const included = hosts.map((host) => allowed[name]?.includes(parseRepository(`${host}/team/app`)));
      assert.deepEqual(
        included,
        [...line].map((standing) => standing !== '.'),
        name,
      );
    }
    // Of Docker Hub, what a workflow pushes and nothing else.
    assert.equal(allowed.github?.includes(parseRepository('docker.io/team/app')), true);
    assert.equal(allowed.github.includes(parseRepository('docker.io/team/other')), false);
  });

  it('is only what the setting images lists, where there is one', () => {
    const listed = allowedImages(['ghcr.io/team/*', 'registry.example.org/**', 'quay.io/team/app'], ofAny);
    for (const [name, isAllowed] of [
      ['ghcr.io/team/app', true],
      ['ghcr.io/team/sub/app', false],
      ['ghcr.io/teams/app', false],
      ['ghcr.io.evil.example/team/app', false],
      ['registry.example.org/a', true],
      ['registry.example.org/a/b/c', true],
      ['registry.example.org:5000/a', false],
      ['quay.io/team/app', true],
      ['quay.io/team/app2', false],
      ['docker.io/library/app', false],
    ] as const) {
      assert.equal(listed.includes(parseRepository(name)), isAllowed, name);
    }
    assert.equal(listed.standingOf('registry.example.org'), 'own');
    assert.equal(listed.standingOf('docker.io'), 'foreign');
    assert.equal(allowedImages(['ghcr.io/team/*'], ofService('acr')).standingOf('team.azurecr.io'), 'foreign');
  });

  it('is a setting of each receiver that has none that says it already', () => {
    for (const name of Object.keys(standings).filter((each) => each !== 'event')) {
      const [source = '', sender] = name.split('/');
      const schema = sources.find((each) => each.name === source)?.settings(() => undefined);
      const own = (settings as Record<string, object>)[source];
      const withImages = (images: unknown) =>
        schema?.safeParse(
          sender === undefined ? { ...own, workflows: undefined, images } : { [sender]: { secrets: 'env:S', push, images } },
        );
      const { workflows: _, ...rest } = (own ?? {}) as { workflows?: unknown };
      const parse = (images: unknown) =>
        sender === undefined ? schema?.safeParse({ ...rest, images }).success : withImages(images)?.success;
      assert.equal(parse(['ghcr.io/team/*', 'registry.example.org/**']), true, name);
      for (const images of [[], 'ghcr.io/team/*', [''], ['ghcr.io/team/app:1'], ['gh*.io/**'], ['a/*/**']]) {
        assert.equal(parse(images), false, `${name} ${JSON.stringify(images)}`);
      }
    }
  });
});

describe('a request about another registry', () => {
  const followed: string[] = [];
  const acceptPushes: AcceptPushes = async ({ pushes }) => {
    followed.push(...pushes.map(({ repository }) => repository));
    return { rollouts: pushes.map(({ tag }) => ({ id: `${tag}`, service: 'any', image: `${tag}` })), resolving: [] };
  };
  const eventOf = (host: string, repository: string) => ({ action: 'push', target: { repository, tag: '1' }, request: { host } });

  it('starts nothing, is answered with 200 (a registry repeats everything else), and is told in answer, log and audit', async () => {
    const ingress = await startIngress({ acceptPushes: () => acceptPushes });
    try {
      const send = async (...events: object[]) => {
        const headers = { 'Content-Type': 'application/json', ...bearer('canary-token-e2d41b') };
        const answer = await ingress.post('/webhook/distribution', JSON.stringify({ events }), headers);
        return { status: answer.status, text: await answer.text() };
      };
      const flood = Array.from({ length: 3_000 }, (_, index) => eventOf('ghcr.io', `team/app${index}`));
      const refused = await send(...flood);
      assert.equal(refused.status, 200);
      assert.match(refused.text, /may not tell of ghcr\.io\/team\/app0, .*list it in receivers\.distribution\.images/);
      assert.deepEqual(followed, []);
      assert.match(ingress.audited().at(-1)?.ignored ?? '', /may not tell of ghcr\.io/);
      assert.match(ingress.written(), /a receiver told of images that it may not tell of/);
      const some = await send(
        eventOf('docker.io', 'team/app'),
        eventOf('registry.example.org', 'team/app'),
        eventOf('quay.io', 'a/b'),
      );
      assert.equal(some.status, 202);
      assert.deepEqual(followed, ['registry.example.org/team/app']);
      assert.match(ingress.audited().at(-1)?.ignored ?? '', /may not tell of docker\.io\/team\/app, quay\.io\/a\/b/);
    } finally {
      await ingress.listeners.stop();
    }
  });
});

describe('a long list of starts', () => {
  it('is taken in portions, one for each time that it comes, and begins anew after the last', () => {
    const portionOf = createPortions(100);
    const items = Array.from({ length: 250 }, (_, index) => index);
    const take = (list: readonly number[]) => {
      const portion = portionOf(list, String);
      portion.isDone();
      return [portion.items[0], portion.items.length, portion.left];
    };
    assert.deepEqual(take(items), [0, 100, 150]);
    assert.deepEqual(take(items.slice(1)), [1, 100, 149]);
    // What could not be stored comes again.
    assert.deepEqual(portionOf(items, String).items[0], 100);
    assert.deepEqual(take(items), [100, 100, 50]);
    assert.deepEqual(take(items), [200, 50, 0]);
    assert.deepEqual(take(items), [0, 100, 150]);
    assert.deepEqual(take(items.slice(0, 100)), [0, 100, 0]);
  });
});

describe('the configuration of receivers and services', () => {
  const env = { S: 'x', GITHUB_TOKEN: 'x' };
  const passing = (receivers: string, image = 'registry.example.org/team/app') => `
forge: { github: { token: env:GITHUB_TOKEN } }
receivers: { ${receivers} }
services:
  - image: ${image}
    tags: { pattern: ".*", order: newest }
    dispatch: { repository: team/deployment, event: pushed, payload: image-push, per: push }
`;

  it('demands images of a receiver that could have any push of a service passed on as it comes', () => {
    for (const [receiver, path] of [
      ['distribution: { token: env:S }', 'distribution'],
      ['cloudevents: { secrets: env:S }', 'cloudevents'],
      ['generic: { acme: { secrets: env:S, push: { repository: /name } } }', 'generic.acme'],
    ]) {
      const [problem, ...others] = problemsIn(passing(`${receiver}`), env);
      assert.deepEqual(others, []);
      assert.match(
        problem ?? '',
        new RegExp(`receivers\\.${path}: expected images beside it: app passes pushes on as they come`),
      );
    }
    for (const receiver of [
      'distribution: { token: env:S, images: [registry.example.org/team/*] }',
      'generic: { acme: { secrets: env:S, push: { registry: registry.example.org, repository: /name } } }',
      'dockerhub: { secrets: env:S }',
    ]) {
      assert.ok(load(passing(receiver), env), receiver);
    }
    assert.ok(load(passing('quay: { secrets: env:S }, distribution: { token: env:S }', 'quay.io/team/app'), env));
  });

  it('has notes where a receiver may tell of several registries, and where none may tell of a service', () => {
    const text = `
receivers: { distribution: { token: env:S } }
services: [{ image: a.example.org/app }, { image: b.example.org/team/app, name: b }, { image: ghcr.io/team/app, name: c }]
listen: { webhooks: 127.0.0.1:8080 }
`;
    const notes = withFile(text, (file) => {
      const loaded = loadConfiguration(file, env, product);
      assert.ok('warnings' in loaded);
      return loaded.warnings.map(({ line, path, message }) => `${line} ${path}: ${message}`);
    });
    assert.deepEqual(notes, [
      '2 receivers.distribution: it may tell of images of a.example.org and b.example.org: list in images what is its own, such as [a.example.org/**]',
      '3 services[2].image: no receiver may tell of images of ghcr.io, so only the search finds them: list them in images of the receiver that is to',
    ]);
  });
});
