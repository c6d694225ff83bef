import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Environment } from '../../../src/domain/environment.ts';
import { type DockerEndpoint, dockerEndpoint } from '../../../src/platform/docker/connect.ts';

describe('dockerEndpoint', () => {
  const home = { HOME: '/Users/ann' };
  const usual: DockerEndpoint = {
    kind: 'socket',
    paths: ['/var/run/docker.sock', '/Users/ann/.docker/run/docker.sock'],
  };
  const idOf = (name: string) => createHash('sha256').update(name).digest('hex');
  const context = (name: string, host: string, folder = '/Users/ann/.docker') => ({
    [`${folder}/contexts/meta/${idOf(name)}/meta.json`]: JSON.stringify({ Name: name, Endpoints: { docker: { Host: host } } }),
  });
  const current = (name: string) => ({ '/Users/ann/.docker/config.json': JSON.stringify({ auths: {}, currentContext: name }) });
  const desktop = 'unix:///Users/ann/.docker/run/docker.sock';
  const certificates = `/Users/ann/.docker/contexts/tls/${idOf('remote')}/docker`;

  const found: readonly {
    readonly claim: string;
    readonly env: Environment;
    readonly files?: Readonly<Record<string, string>>;
    readonly expected: DockerEndpoint;
  }[] = [
    { claim: 'the usual sockets where nothing is said', env: home, expected: usual },
    {
      claim: 'a socket in DOCKER_HOST',
      env: { ...home, DOCKER_HOST: 'unix:///run/user/1000/docker.sock' },
      expected: { kind: 'socket', paths: ['/run/user/1000/docker.sock'] },
    },
    {
      claim: 'DOCKER_HOST before the context',
      env: { ...home, DOCKER_HOST: 'unix:///a.sock' },
      files: current('gone'),
      expected: { kind: 'socket', paths: ['/a.sock'] },
    },
    { claim: 'an empty DOCKER_HOST as none', env: { ...home, DOCKER_HOST: '' }, expected: usual },
    { claim: 'a host', env: { ...home, DOCKER_HOST: 'tcp://build:4243' }, expected: { kind: 'tcp', host: 'build', port: 4243 } },
    {
      claim: 'a host without scheme',
      env: { ...home, DOCKER_HOST: 'build' },
      expected: { kind: 'tcp', host: 'build', port: 2375 },
    },
    {
      claim: 'an IPv6 host',
      env: { ...home, DOCKER_HOST: 'tcp://[::1]:2375' },
      expected: { kind: 'tcp', host: '::1', port: 2375 },
    },
    {
      claim: 'TLS with its folder of certificates',
      env: { ...home, DOCKER_HOST: 'tcp://build', DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: '/certs' },
      expected: { kind: 'tcp', host: 'build', port: 2376, tls: '/certs' },
    },
    {
      claim: 'TLS with the usual certificates',
      env: { ...home, DOCKER_HOST: 'tcp://build:1', DOCKER_TLS_VERIFY: '1' },
      expected: { kind: 'tcp', host: 'build', port: 1, tls: '/Users/ann/.docker' },
    },
    {
      claim: 'a Windows pipe',
      env: { USERPROFILE: 'C:/Users/ann', DOCKER_HOST: 'npipe:////./pipe/other' },
      expected: { kind: 'socket', paths: ['//./pipe/other'] },
    },
    {
      claim: 'the pipe on Windows',
      env: { USERPROFILE: 'C:/Users/ann', OS: 'Windows_NT' },
      expected: { kind: 'socket', paths: ['//./pipe/docker_engine'] },
    },
    {
      claim: "Docker Desktop's context",
      env: home,
      files: { ...current('desktop-linux'), ...context('desktop-linux', desktop) },
      expected: { kind: 'socket', paths: ['/Users/ann/.docker/run/docker.sock'] },
    },
    { claim: 'the context named default as none', env: home, files: current('default'), expected: usual },
    {
      claim: 'DOCKER_CONTEXT before the chosen one',
      env: { ...home, DOCKER_CONTEXT: 'colima' },
      files: { ...current('desktop-linux'), ...context('colima', 'unix:///Users/ann/.colima/docker.sock') },
      expected: { kind: 'socket', paths: ['/Users/ann/.colima/docker.sock'] },
    },
    {
      claim: "a context's TLS",
      env: home,
      files: { ...current('remote'), ...context('remote', 'tcp://build:2376'), [`${certificates}/ca.pem`]: 'x' },
      expected: { kind: 'tcp', host: 'build', port: 2376, tls: certificates },
    },
    {
      claim: 'contexts in DOCKER_CONFIG',
      env: { ...home, DOCKER_CONFIG: '/etc/docker-cli', DOCKER_CONTEXT: 'x' },
      files: context('x', 'unix:///x.sock', '/etc/docker-cli'),
      expected: { kind: 'socket', paths: ['/x.sock'] },
    },
  ];
  for (const { claim, env, files = {}, expected } of found) {
    it(`finds ${claim}`, () =>
      assert.deepEqual(
        dockerEndpoint(env, (path) => files[path]),
        expected,
      ));
  }

  const refused = [
    {
      claim: 'SSH',
      env: { ...home, DOCKER_HOST: 'ssh://ann@build' },
      files: {},
      message: /does not speak SSH to Docker: forward the socket/,
    },
    {
      claim: 'an unknown scheme',
      env: { ...home, DOCKER_HOST: 'ftp://build' },
      files: {},
      message: /DOCKER_HOST is 'ftp:\/\/build', expected unix:/,
    },
    {
      claim: 'a context that is not there',
      env: home,
      files: current('gone'),
      message: /context is 'gone', but there is no .*docker context ls/,
    },
    {
      claim: 'a broken config.json',
      env: home,
      files: { '/Users/ann/.docker/config.json': '{' },
      message: /expected JSON in \/Users\/ann\/\.docker\/config\.json/,
    },
    {
      claim: 'a context of SSH',
      env: home,
      files: { ...current('far'), ...context('far', 'ssh://far') },
      message: /Docker's context 'far' is 'ssh:/,
    },
  ];
  for (const { claim, env, files, message } of refused) {
    it(`refuses ${claim}`, () => {
      const known: Readonly<Record<string, string>> = files;
      assert.throws(() => dockerEndpoint(env, (path) => known[path]), message);
    });
  }
});
