import { createHmac } from 'node:crypto';
import type { ReceiverSettings } from '../../../src/sources/index.ts';
import type { Authenticated, Senders } from './senders.ts';
import { vectorSources, vectorsOf } from './vectors.ts';

/** A request that its receiver understands, and how it is made authentic once its body was changed. */
export interface Seed {
  readonly name: string;
  /** Undefined for a body that is no JSON in the first place. */
  readonly body: unknown;
  readonly raw: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  authenticate(raw: Buffer): Promise<Authenticated>;
}

const digest = `sha256:${'ab'.repeat(32)}`;

/** Receivers that no vector is for. `secret` is what the references stand for. */
export const otherReceivers: ReceiverSettings = {
  ecr: { secrets: ['env:SENDER_NEW'] },
  gitea: { secrets: ['env:SENDER_NEW'] },
  generic: {
    build: {
      secrets: ['env:SENDER_NEW'],
      push: { list: '/pushes', repository: '/image', tag: '/tags', digest: '/digest', commit: '/commit' },
    },
  },
};

/** The vectors of every source, and one request or more for each receiver that no vector is for. */
export function createSeeds(senders: Senders, secret: string, clientCertificate: string): readonly Seed[] {
  const ofVectors = vectorSources.flatMap((source) =>
    vectorsOf(source).map(
      (vector): Seed => ({
        name: `${source}/${vector.name}`,
        body: parsedOrNothing(vector.raw),
        raw: vector.raw,
        headers: Object.fromEntries(
          Object.entries(vector.headers).filter(([header]) => header.toLowerCase() !== 'authorization'),
        ),
        ...(vector.query !== undefined && { query: vector.query }),
        authenticate: (raw) => senders.authenticate(source, raw, 'new'),
      }),
    ),
  );
  const json = { 'Content-Type': 'application/json' };
  const seed = (
    name: string,
    body: object,
    by: (raw: Buffer) => Authenticated,
    headers: Record<string, string> = json,
  ): Seed => ({
    ...{ name, body, headers },
    raw: JSON.stringify(body),
    authenticate: async (raw) => by(raw),
  });
  const bearer = (path: string) => (): Authenticated => ({ path, headers: { Authorization: `Bearer ${secret}` } });
  const signed = (path: string, header: string, prefix: string, more: Record<string, string>) => (raw: Buffer) => ({
    path,
    headers: { [header]: `${prefix}${createHmac('sha256', secret).update(raw).digest('hex')}`, ...more },
  });
  const quayBuild = vectorsOf('quay').find(({ name }) => name === 'build-success');
  const byGithub = (event: string) =>
    signed('/webhook/image-published', 'X-Hub-Signature-256', 'sha256=', { 'X-GitHub-Event': event });
  return [
    ...ofVectors,
    seed('ecr', ecrEvent, bearer('/webhook/ecr')),
    seed('gitea', giteaEvent, signed('/webhook/gitea', 'X-Gitea-Signature', '', { 'X-Gitea-Event': 'package' })),
    seed('generic', genericEvent, bearer('/webhook/generic/build')),
    seed('github-dispatch', dispatchEvent, byGithub('repository_dispatch')),
    seed('github-workflow-run', workflowRunEvent, byGithub('workflow_run')),
    seed('harbor-cloudevent', harborEvent, () => ({ path: '/webhook/harbor', headers: { Authorization: secret } }), {
      'Content-Type': 'application/cloudevents+json',
    }),
    seed('cdevent', cdEvent, bearer('/webhook/cloudevents'), { 'Content-Type': 'application/cloudevents+json' }),
    seed('incoming', JSON.parse(quayBuild?.raw ?? '{}') as object, () => ({
      path: `/incoming/${secret}`,
      headers: { 'Client-Cert': clientCertificate },
    })),
  ];
}

function parsedOrNothing(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

const ecrEvent = {
  version: '0',
  id: '13cde686-328b-6117-af20-0e5566167482',
  'detail-type': 'ECR Image Action',
  source: 'aws.ecr',
  account: '123456789012',
  region: 'eu-north-1',
  detail: {
    result: 'SUCCESS',
    'repository-name': 'team/app',
    'image-digest': digest,
    'action-type': 'PUSH',
    'image-tag': 'latest',
  },
};
const giteaEvent = {
  action: 'created',
  package: {
    type: 'container',
    owner: { login: 'Team' },
    name: 'app',
    version: 'v1.0',
    html_url: 'https://git.example.org/Team/-/packages/container/app/v1.0',
  },
  sender: { login: 'ann' },
};
const genericEvent = { pushes: [{ image: 'registry.example.org/team/app', tags: ['latest', 'v1'], digest, commit: 'abcdef1' }] };
const dispatchEvent = {
  action: 'image_published',
  branch: 'main',
  client_payload: { service: 'app', image: 'ghcr.io/team/app', tag: 'latest', digest, sha: 'abcdef1', repository: 'team/app' },
  repository: { full_name: 'team/deployment' },
  sender: { login: 'ann' },
};
const workflowRunEvent = {
  action: 'completed',
  workflow: { name: 'build' },
  workflow_run: {
    id: 7,
    name: 'build',
    event: 'push',
    conclusion: 'success',
    head_branch: 'main',
    head_sha: 'a'.repeat(40),
    head_repository: { full_name: 'team/app' },
  },
  repository: { full_name: 'team/app', default_branch: 'main' },
};
const harborEvent = {
  specversion: '1.0',
  id: '4b2f89a6-548d-4c12-9993-a1f5790b97d2',
  source: '/projects/1/webhook/policies/3',
  type: 'harbor.artifact.pushed',
  datacontenttype: 'application/json',
  operator: 'admin',
  data: {
    resources: [{ digest, tag: 'latest', resource_url: 'harbor.example.org/library/app:latest' }],
    repository: { name: 'app', namespace: 'library', repo_full_name: 'library/app', repo_type: 'private' },
  },
};
const cdEvent = {
  specversion: '1.0',
  id: '271069a8-fc18-44f1-b38f-9d70a1695819',
  source: '/event/source/123',
  type: 'dev.cdevents.artifact.published.0.2.0',
  data: {
    context: { version: '0.4.1', id: '271069a8', source: '/event/source/123', type: 'dev.cdevents.artifact.published.0.2.0' },
    subject: {
      id: `pkg:oci/app@${encodeURIComponent(digest)}?repository_url=registry.example.org/team/app&tag=latest`,
      type: 'artifact',
      content: {},
    },
  },
};
