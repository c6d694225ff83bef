import assert from 'node:assert/strict';
import { detailLines } from '../../../src/cli/commands/show.ts';
import type { Definition, ServiceDefinition } from '../../../src/deploys/compose/definition.ts';
import { changesBetween } from '../../../src/deploys/compose/other-changes.ts';
import { hostFailure } from '../../../src/deploys/kit/host-failure.ts';

/** What Compose renders, compared. */
describe('changes of a rendered compose file', () => {
  const of = (web: ServiceDefinition, more: Partial<Definition> = {}): Definition => ({
    name: 'shop',
    services: { web },
    ...more,
  });
  const texts = (ran: Definition, next: Definition): string[] => changesBetween(ran, next, ['web']).map(({ text }) => text);

  it('are none where only the image is another, or what no container is made from', () => {
    const ran = of({ image: 'a', depends_on: { db: {} }, profiles: ['x'], build: { context: '/' } });
    assert.deepEqual(texts(ran, of({ image: 'b' })), []);
  });

  it('are none where Compose writes what is empty, and leaves it out', () => {
    assert.deepEqual(texts(of({ entrypoint: null, labels: {}, deploy: { resources: {} } }), of({})), []);
  });

  it('name each key, port and mount, and values only where they are harmless', () => {
    const ran = of({
      command: ['a', '--password=hunter2'],
      environment: { A: 'secret1', B: 'x' },
      restart: 'always',
      ports: [{ host_ip: '127.0.0.1', published: '8080', target: 80 }],
      volumes: [{ type: 'volume', source: 'data', target: '/data' }],
    });
    const next = of({
      command: ['a', '--password=hunter3'],
      environment: { A: 'secret2', C: 'y' },
      restart: 'no',
      ports: [{ published: '8081', target: 80 }],
      volumes: [{ type: 'bind', source: '/srv', target: '/data' }],
    });
    assert.deepEqual(texts(ran, next), [
      'web: command changed',
      'web: environment.A changed',
      'web: environment.B removed',
      'web: environment.C added',
      'web: ports 127.0.0.1:8080->80 removed',
      'web: ports 8081->80 added',
      'web: restart changed from "always" to "no"',
      'web: volumes data->/data removed',
      'web: volumes /srv->/data added',
    ]);
  });

  it('see another network, though a network without settings is null', () => {
    assert.deepEqual(texts(of({ networks: { default: null } }), of({ networks: { front: null } })), [
      'web: networks.default removed',
      'web: networks.front added',
    ]);
  });

  it('see what the services use, and nothing of services that are not deployed', () => {
    const web = { networks: { default: null } };
    const ran = of(web, { networks: { default: { driver: 'bridge' }, other: { driver: 'a' } } });
    const next = of(web, { networks: { default: { driver: 'overlay' }, other: { driver: 'b' } } });
    assert.deepEqual(texts(ran, next), ['network default: driver changed']);
  });

  it('are shown line by line, with who brought them', () => {
    const commits = [{ commit: '1a2b3c4d5e6f', author: 'Bob', subject: 'try an option' }];
    assert.deepEqual(detailLines([{ changes: ['web: command changed'], more: 2, commits, fingerprint: 'f' }]), [
      'web: command changed',
      'and 2 more',
      'brought by:',
      '1a2b3c4d5e6f  Bob  try an option',
    ]);
  });
});

describe('the trouble of a host', () => {
  for (const text of [
    'Error response from daemon: driver failed programming external connectivity on endpoint web: Bind for 0.0.0.0:80 failed: port is already allocated',
    'Error starting userland proxy: listen tcp4 127.0.0.1:80: bind: address already in use',
    'could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network',
    'all predefined address pools have been fully subnetted',
    'mkdir /var/lib/docker/overlay2/x: no space left on device',
    'external volume "missing" not found',
    'network front declared as external, but could not be found',
    "error while creating mount source path '/root/x': mkdir /root/x: permission denied",
  ]) {
    it(`is told by: ${text.slice(0, 80)}`, () => {
      assert.equal(hostFailure(`Container web  Starting\n${text}`), text);
    });
  }

  for (const text of [
    'exec: "no-such-program": executable file not found in $PATH: unknown',
    'unable to find user nobody-here: no matching entries in passwd file',
    'Container web  Error: exited (2)',
  ]) {
    it(`is not told by what is the image's: ${text.slice(0, 60)}`, () => {
      assert.equal(hostFailure(text), undefined);
    });
  }
});
