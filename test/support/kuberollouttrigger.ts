import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Digest } from '../../src/domain/image-reference.ts';
import type { RolloutRow } from '../../src/operations/index.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { bearer } from '../api/support/vectors.ts';
import { landfallHere } from '../cli/command.ts';
import { startLandfall } from './landfall.ts';
import { githubJobClaims, startOidcIssuer } from './oidc-issuer.ts';
import type { RegistryEndpoint } from './registry.ts';
import { eventually } from './wait.ts';

const audience = 'https://kuberollouttrigger.example.org';

/** A Landfall in place of kuberollouttrigger, by its variables alone, of what is below `Test-Org/` in the registry; and a job that tells it of pushes. */
export type InPlace = Awaited<ReturnType<typeof startInPlace>>;

export async function startInPlace({ host }: Pick<RegistryEndpoint, 'host'>, kubeconfig: string) {
  const issuer = await startOidcIssuer();
  const folder = await mkdtemp(join(tmpdir(), 'landfall-kuberollouttrigger-'));
  const address = `127.0.0.1:${await reservePort()}`;
  const env = {
    GITHUB_OIDC_AUDIENCE: audience,
    GITHUB_OIDC_ISSUER: issuer.url,
    GITHUB_ALLOWED_ORG: 'test-org',
    // As the owner writes it, which the registry does not know.
    ALLOWED_IMAGE_PREFIX: `${host}/Test-Org/`,
    KUBECONFIG: kubeconfig,
    LOG_LEVEL: 'warn',
    WEB_LISTEN_ADDR: address,
    LANDFALL_OPERATORS: `127.0.0.1:${await reservePort()}`,
    VALKEY_ADDR: 'valkey:6379',
    TEMPORAL_ADDRESS: '',
  };
  const landfall = await startLandfall(folder, env);
  return {
    output: landfall.output,
    /** What the answer to the event of a job says. */
    async tell(name: string, tags: readonly string[]) {
      const token = await issuer.sign({ ...githubJobClaims, aud: audience });
      const answer = await fetch(`http://${address}/event`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...bearer(token) },
        body: JSON.stringify({ image: `${host}/Test-Org/${name}`, tags }),
      });
      assert.equal(answer.status, 202);
      return (await answer.json()) as { resolving: readonly { service: string; link?: string }[] };
    },
    /** How the rollouts of a digest end, by tag. */
    async endsOf(name: string, digest: Digest, tags: readonly string[], withinMs = 90_000) {
      return await eventually(
        `the end of the rollouts of ${name}:${tags.join()}`,
        async () => {
          const { stdout } = await landfallHere(['list', '--json'], { cwd: folder, env });
          const rows = JSON.parse(stdout) as RolloutRow[];
          const ours = tags.map((tag) => rows.find((row) => row.service === `${name}@${tag}` && row.digest === digest));
          const isOver = ours.every((row) => row !== undefined && !['running', 'waiting'].includes(row.status));
          return isOver && ours.map((row) => row?.status);
        },
        withinMs,
      );
    },
    async stop() {
      await landfall.stop();
      await issuer.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
