import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ComposeProject, type ComposeService, NotIsolated } from '../../../src/platform/compose/file.ts';
import { refuseForeignMounts, refusePrivileges } from '../../../src/platform/compose/privileges.ts';

describe('a compose file with an image that nobody has approved', () => {
  const refused: readonly (readonly [key: string, service: ComposeService])[] = [
    ['privileged true', { privileged: true }],
    ['pid host', { pid: 'host' }],
    ['pid container:web', { pid: 'container:web' }],
    ['ipc host', { ipc: 'host' }],
    ['uts host', { uts: 'host' }],
    ['userns_mode host', { userns_mode: 'host' }],
    ['cgroup host', { cgroup: 'host' }],
    ['cgroup_parent /system.slice', { cgroup_parent: '/system.slice' }],
    ['network_mode host', { network_mode: 'host' }],
    ['network_mode bridge', { network_mode: 'bridge' }],
    ['network_mode container:web', { network_mode: 'container:web' }],
    ['cap_add ALL', { cap_add: ['ALL'] }],
    ['cap_add cap_sys_admin', { cap_add: ['CHOWN', 'cap_sys_admin'] }],
    ['cap_add NET_ADMIN', { cap_add: ['NET_ADMIN'] }],
    ['security_opt seccomp=unconfined', { security_opt: ['no-new-privileges:true', 'seccomp=unconfined'] }],
    ['security_opt seccomp:./all.json', { security_opt: ['seccomp:./all.json'] }],
    ['security_opt apparmor:unconfined', { security_opt: ['apparmor:unconfined'] }],
    ['security_opt label:disable', { security_opt: ['label:disable'] }],
    ['security_opt systempaths=unconfined', { security_opt: ['systempaths=unconfined'] }],
    ['security_opt no-new-privileges:false', { security_opt: ['no-new-privileges:false'] }],
    ['devices', { devices: [{ source: '/dev/kvm', target: '/dev/kvm', permissions: 'rwm' }] }],
    ['device_cgroup_rules', { device_cgroup_rules: ['c 1:* rwm'] }],
    ['gpus', { gpus: [{ count: -1 }] }],
    [
      'deploy.resources.reservations.devices',
      { deploy: { resources: { reservations: { devices: [{ capabilities: ['gpu'] }] } } } },
    ],
    ['volumes_from container:production', { volumes_from: ['container:production'] }],
    ['use_api_socket true', { use_api_socket: true }],
    ['provider', { provider: { type: 'anything' } }],
    ['post_start or pre_stop with privileged', { post_start: [{ command: ['sh'], privileged: true }] }],
    ['build.privileged', { build: { context: '.', privileged: true } }],
    ['build.entitlements', { build: { context: '.', entitlements: ['security.insecure'] } }],
    ['build.network host', { build: { context: '.', network: 'host' } }],
  ];
  for (const [key, service] of refused) {
    it(`is refused for ${key}, of whichever service it is`, () => {
      const file: ComposeProject = { services: { web: {}, db: { image: 'db', ...service } } };
      assert.throws(
        () => refusePrivileges(file),
        (error) =>
          error instanceof NotIsolated && error.message.startsWith(`service db has ${key}, which would give it this host`),
      );
    });
  }

  it('may say what reaches no further than its own containers', () => {
    const harmless: ComposeService = {
      privileged: false,
      pid: 'service:web',
      ipc: 'shareable',
      cgroup: 'private',
      network_mode: 'service:web',
      cap_add: ['CHOWN', 'NET_BIND_SERVICE', 'IPC_LOCK', 'CAP_SYS_NICE'],
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true', 'no-new-privileges', 'apparmor=docker-default'],
      devices: [],
      volumes_from: ['web'],
      deploy: { resources: { limits: { memory: '1g' } } },
      post_start: [{ command: ['true'] }],
      build: { context: '.' },
    };
    refusePrivileges({ services: { web: {}, db: harmless } });
  });

  describe('mounts files', () => {
    let repository: string;
    let outside: string;
    beforeEach(async () => {
      const folder = await mkdtemp(join(tmpdir(), 'landfall-mounts-'));
      [repository, outside] = [join(folder, 'repository'), join(folder, 'outside')];
      for (const each of [join(repository, '.git'), join(repository, 'tests'), join(repository, 'data'), outside])
        await mkdir(each, { recursive: true });
    });
    afterEach(() => rm(join(repository, '..'), { recursive: true, force: true }));

    const mounts = async (source: string, type = 'bind') =>
      refuseForeignMounts(
        { services: { web: { volumes: [{ type, source, target: '/x' }] } } },
        { folder: join(repository, 'tests'), forbidden: [join(repository, 'data')] },
      ).then(
        () => 'allowed',
        (error: unknown) => (error instanceof NotIsolated ? error.message : assert.fail(String(error))),
      );

    it('of its own repository, also what is not there yet', async () => {
      for (const path of ['tests', 'fixtures/new', 'tests/../fixtures'])
        assert.equal(await mounts(join(repository, path)), 'allowed');
      assert.equal(await mounts('named-volume', 'volume'), 'allowed');
    });

    it('of no other folder, whatever leads there', async () => {
      await symlink(outside, join(repository, 'link'));
      await symlink('/', join(repository, 'root'));
      const { length } = 'repository';
      for (const path of ['/', '/etc/passwd', outside, `${repository}-other`, repository.slice(0, -length)])
        assert.match(await mounts(path), /a volume of service web mounts .*, which belongs to the host: expected something in/);
      for (const path of ['link', 'link/new', 'root/etc', 'tests/../../outside'])
        assert.match(await mounts(`${repository}/${path}`), /which belongs to the host/);
    });

    it('of no socket, and nothing that Landfall keeps there', async () => {
      const server = createServer().listen(join(repository, 'engine'));
      try {
        for (const path of [join(repository, 'engine'), '/var/run/docker.sock', '/run/docker.sock'])
          assert.match(await mounts(path), /a socket/);
      } finally {
        server.close();
      }
      await writeFile(join(repository, 'data/docker-ownership.key'), 'secret');
      for (const path of ['data', 'data/docker-ownership.key', 'data/new', ''])
        assert.match(await mounts(join(repository, path)), /where Landfall keeps what is its own/);
    });

    it('by configs and secrets under the same rules', async () => {
      const rules = { folder: repository, forbidden: [] };
      const file = (path: string): ComposeProject => ({ services: {}, configs: { settings: { file: path } } });
      await refuseForeignMounts(file(join(repository, 'settings')), rules);
      await assert.rejects(refuseForeignMounts(file('/etc/shadow'), rules), /configs\.settings mounts \/etc\/shadow/);
      await refuseForeignMounts({ services: {}, secrets: { key: { environment: 'KEY' } } }, rules);
    });
  });
});
