import assert from 'node:assert/strict';
import { readPurl } from '../../src/sources/cloudevents/cdevents.ts';

const hex = '244fd47e07d1004f0aed9c00112233445566778899aabbccddeeff0011223344';
const digest = `sha256:${hex}`;
const version = `sha256%3A${hex}`;

/** `repository:tag[@digest]`, or why there is none. */
function read(purl: string | undefined): string {
  const reading = readPurl(purl);
  if ('image' in reading) {
    const { repository, tag, digest: found } = reading.image;
    return `${repository}:${tag}${found === undefined ? '' : `@${found}`}`;
  }
  return 'ignored' in reading ? `ignored: ${reading.ignored}` : 'malformed';
}

describe('a package URL', () => {
  for (const [claim, purl, expected] of [
    [
      'has the whole repository in repository_url',
      `pkg:oci/debian@${version}?repository_url=docker.io/library/debian&arch=amd64&tag=latest`,
      `docker.io/library/debian:latest@${digest}`,
    ],
    [
      'may have a repository directly at the host',
      `pkg:oci/debian@${version}?repository_url=ghcr.io/debian&tag=bullseye`,
      `ghcr.io/debian:bullseye@${digest}`,
    ],
    [
      'is read with paths of several segments',
      `pkg:oci/static@${version}?repository_url=gcr.io/distroless/static&tag=latest`,
      `gcr.io/distroless/static:latest@${digest}`,
    ],
    [
      'may leave its name out of repository_url',
      `pkg:oci/app@${version}?repository_url=ghcr.io/team&tag=1.0`,
      `ghcr.io/team/app:1.0@${digest}`,
    ],
    [
      'may have just a host there',
      `pkg:oci/app@${version}?repository_url=localhost:5000&tag=1.0`,
      `localhost:5000/app:1.0@${digest}`,
    ],
    [
      'takes a host for what it is, even where the name is the same',
      `pkg:oci/a.io@${version}?repository_url=a.io&tag=1`,
      `a.io/a.io:1@${digest}`,
    ],
    [
      'does not take a part of a segment for the name',
      `pkg:oci/app@${version}?repository_url=ghcr.io/team/my-app&tag=1`,
      `ghcr.io/team/my-app/app:1@${digest}`,
    ],
    [
      'may be percent-encoded throughout',
      `pkg:oci/app@${version}?repository_url=https%3A%2F%2FGHCR.io%2FTeam%2FApp%2F&tag=1`,
      `ghcr.io/team/app:1@${digest}`,
    ],
    [
      'has a digest in any case, encoded or not',
      `pkg:OCI/App@SHA256:${hex.toUpperCase()}?tag=V1&repository_url=ghcr.io/team/app`,
      `ghcr.io/team/app:V1@${digest}`,
    ],
    [
      'may repeat tag and digest in repository_url, as Harbor writes it',
      `pkg:oci/busybox@${digest}?repository_url=harbor.dev%2Flibrary%2Fbusybox:v1.0@${digest}&tag=v1.0`,
      `harbor.dev/library/busybox:v1.0@${digest}`,
    ],
    [
      'may have a path as its name, as Harbor writes it',
      `pkg:oci/team%2Fapp@${version}?repository_url=harbor.dev/project/team/app&tag=1`,
      `harbor.dev/project/team/app:1@${digest}`,
    ],
    ['may have no version', 'pkg:oci/app?repository_url=ghcr.io/team/app&tag=1', 'ghcr.io/team/app:1'],
    ['may have a version that is no digest', 'pkg:oci/app@1.0?repository_url=ghcr.io/team/app&tag=1', 'ghcr.io/team/app:1'],
    ['starts nothing without a tag', `pkg:oci/app@${version}?repository_url=ghcr.io/team/app`, 'ignored: no tag was pushed'],
    [
      'starts nothing with a tag that is none',
      `pkg:oci/app@${version}?repository_url=ghcr.io/team/app&tag=a%20b`,
      'ignored: no tag was pushed',
    ],
    [
      'starts nothing without a registry',
      `pkg:oci/app@${version}?tag=1`,
      'ignored: the package URL has no repository_url, so its registry is unknown',
    ],
    ['is refused with a registry that is none', `pkg:oci/app@${version}?tag=1&repository_url=library/app`, 'malformed'],
    [
      'is refused with credentials in its registry',
      `pkg:oci/app@${version}?tag=1&repository_url=https://u:p@ghcr.io/team/app`,
      'malformed',
    ],
    ['of the type docker has a tag as its version', 'pkg:docker/cassandra@latest', 'docker.io/library/cassandra:latest'],
    [
      'of the type docker has a namespace',
      `pkg:docker/customer/app@${version}?repository_url=gcr.io&tag=2`,
      `gcr.io/customer/app:2@${digest}`,
    ],
    ['of the type docker with a digest alone starts nothing', `pkg:docker/customer/app@${version}`, 'ignored: no tag was pushed'],
    [
      'of another type is no image',
      'pkg:golang/mygit.com/myorg/myapp@234fd47e07d1004f0aed9c',
      'ignored: the package is not a container image',
    ],
    ['is refused where it is none', 'https://ghcr.io/team/app:1', 'malformed'],
    ['is refused without a name', 'pkg:oci', 'malformed'],
    ['is refused with a namespace', 'pkg:oci/team/app?tag=1&repository_url=ghcr.io/team/app', 'malformed'],
    ['is refused with broken encoding', 'pkg:oci/app?tag=%zz&repository_url=ghcr.io/team/app', 'malformed'],
    ['is refused at any length', `pkg:oci/app?tag=1&repository_url=ghcr.io/${'/'.repeat(500_000)}x`, 'malformed'],
    ['is refused where it is empty', '', 'malformed'],
    ['is refused where it is missing', undefined, 'malformed'],
  ] as const) {
    it(claim, () => {
      assert.equal(read(purl), expected);
    });
  }
});
