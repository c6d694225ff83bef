import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Environment } from '../../domain/environment.ts';
import type { DropIn } from '../kit/source.ts';

/**
 * The configuration of a Landfall that takes the place of lewagon/quay-github-actions-dispatch: it serves POST /incoming over TLS and
 * passes every build that Quay reports on to GitHub. It understands the same environment: `GH_TOKEN`, `DEBUG`, and the folder `/certs` or
 * the files `CRT` and `KEY`. Beside them, `LANDFALL_CERTS` names another folder, `LANDFALL_CLIENT_CA` (a file) the authorities of the
 * client certificate, `LANDFALL_WEBHOOKS` and `LANDFALL_OPERATORS` (HOST:PORT) where it listens, `GITHUB_API_URL` another GitHub.
 * @returns undefined unless the environment asks for it
 * @see https://github.com/lewagon/quay-github-actions-dispatch
 */
export function quayDropIn(env: Environment): DropIn | undefined {
  const tls = certificateOf(env);
  if (!env.GH_TOKEN || tls === undefined) return undefined;
  const { LANDFALL_CLIENT_CA: ca, LANDFALL_OPERATORS: operators, GITHUB_API_URL: url } = env;
  const configuration = {
    listen: { webhooks: env.LANDFALL_WEBHOOKS || '0.0.0.0:443', ...(operators && { operators }), tls },
    receivers: { quay: { certificate: ca ? { ca } : {} } },
    forge: { github: { token: 'env:GH_TOKEN', ...(url && { url }) } },
    search: 'off',
    services: [
      {
        image: 'quay.io/*/*',
        tags: { pattern: '.*', order: 'newest' },
        scan: 'off',
        smoke: 'off',
        dispatch: { payload: 'quay' },
      },
    ],
  };
  // JSON is YAML, and quotes whatever the environment may hold.
  return {
    text: JSON.stringify(configuration, undefined, 2),
    serves:
      'in place of quay-github-actions-dispatch: each build that Quay reports is passed on to the GitHub repository of its name',
    because: 'GH_TOKEN and a certificate',
  };
}

/** As `listen.tls` takes it. */
function certificateOf({ CRT, KEY, LANDFALL_CERTS }: Environment): string | { cert: string; key: string } | undefined {
  if (CRT && KEY) return { cert: CRT, key: KEY };
  const folder = LANDFALL_CERTS || '/certs';
  // Of one that is named and not there, the listener says so.
  if (!LANDFALL_CERTS && !existsSync(folder)) return undefined;
  // What Let's Encrypt names its files, and what quay-github-actions-dispatch expects unless it is told otherwise.
  const usual = { cert: join(folder, 'fullchain.pem'), key: join(folder, 'privkey.pem') };
  return existsSync(usual.cert) && existsSync(usual.key) ? usual : folder;
}
