import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { RateLimit, Refusal } from '../../../src/domain/failures.ts';
import { createGitHubClients } from '../../../src/platform/github/client.ts';
import { classifyGraphql } from '../../../src/platform/github/errors.ts';

/** What octokit throws for an answer of GitHub's GraphQL API, classified. */
async function classified(body: object, headers: Record<string, string> = {}, nowMs = 0): Promise<unknown> {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    const { clientFor } = createGitHubClients({ token: 'x' }, { url: `http://127.0.0.1:${port}` });
    const octokit = await clientFor('team/deployment');
    return await octokit.graphql('query { viewer { login } }').then(
      () => assert.fail('it was no error'),
      (error: unknown) => classifyGraphql(error, nowMs),
    );
  } finally {
    server.close();
  }
}

describe('an answer of GraphQL that is an error', () => {
  const limited = { data: null, errors: [{ type: 'RATE_LIMITED', message: 'API rate limit exceeded' }] };

  it('asks us to wait until the limit is reset, a minute where nobody says so', async () => {
    const until = await classified(limited, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1700000000' });
    assert.ok(until instanceof RateLimit);
    assert.equal(until.until.getTime(), 1_700_000_001_000);
    const unknown = await classified(limited, {}, 5_000);
    assert.ok(unknown instanceof RateLimit && unknown.until.getTime() >= 65_000);
  });

  it("is a no in GitHub's words where it has a type", async () => {
    const errors = [{ type: 'FORBIDDEN', message: 'Resource not accessible by integration', path: ['repository'] }];
    const refusal = await classified({ data: { repository: null }, errors });
    assert.ok(refusal instanceof Refusal);
    assert.equal(refusal.type, 'ForgeRefused');
    assert.match(refusal.message, /Resource not accessible by integration/);
  });

  it('is something broken where it has none, and everything else stays what it is', async () => {
    const broken = await classified({ data: null, errors: [{ message: 'Something went wrong while executing your query' }] });
    assert.ok(broken instanceof Error && !(broken instanceof Refusal) && !(broken instanceof RateLimit));
    const other = new Error('other');
    assert.equal(classifyGraphql(other, 0), other);
  });
});
