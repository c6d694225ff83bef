#!/usr/bin/env node
/**
 * Temporal's own server for `npm run test:postgres`, in the version that temporal-server/go.mod pins and docker-compose.yml runs: the CLI's
 * server knows SQLite alone. Built once into the cache folder: `node scripts/setup/temporal-server.mjs`.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { cacheFolder } from '../../src/platform/tools.mjs';
import { areBuilt, buildPrograms, programsFolder } from './go-programs.mjs';
import { withLock } from './lock.mjs';
import { hasApt, isRoot, SetUpFailure, say } from './machine.mjs';
import { installPackages } from './packages.mjs';

/** @typedef {Record<string, string | undefined>} Environment */

export const temporalVersion = '1.31.0';

/** @type {import('./go-programs.mjs').GoPrograms} */
const server = Object.freeze({
  name: `temporal-server-${temporalVersion}`,
  module: fileURLToPath(new URL('temporal-server', import.meta.url)),
  programs: [
    { name: 'temporal-server', from: 'go.temporal.io/server/cmd/server' },
    { name: 'temporal-sql-tool', from: 'go.temporal.io/server/cmd/tools/sql' },
  ],
});

/**
 * @param {{ env: Environment, say: (line: string) => void }} context
 * @throws {SetUpFailure} where it cannot be built
 */
async function obtainTemporalServer({ env, say }) {
  if (areBuilt(programsFolder(server, env), server.programs)) return;
  await withLock(cacheFolder(env), say, async () => {
    say(`building Temporal's server ${temporalVersion}, once; it takes about 10 minutes on two cores`);
    await buildPrograms(server, { env, say, who: "Temporal's server" });
  });
}

/** Where Debian and Ubuntu have the programs of PostgreSQL, in a folder for each version. */
export const postgresFolder = '/usr/lib/postgresql';

/**
 * @param {{ env: Environment, say: (line: string) => void }} context
 * @throws {SetUpFailure} where it is not there, and cannot be installed
 */
async function obtainPostgres(context) {
  if (existsSync(postgresFolder)) return;
  if (!isRoot() || !hasApt(context.env)) throw new SetUpFailure(`expected PostgreSQL in ${postgresFolder}: install postgresql`);
  await installPackages({ packages: ['postgresql'] }, context);
}

/**
 * The folder of temporal-server and temporal-sql-tool.
 * @param {Environment} env
 * @throws Error where they are missing, with what to do about it
 */
export function temporalServerPrograms(env) {
  const folder = programsFolder(server, env);
  if (areBuilt(folder, server.programs)) return folder;
  throw new Error("expected Temporal's server in the cache, found none: `npm run test:postgres` builds it");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    await obtainPostgres({ env: process.env, say });
    await obtainTemporalServer({ env: process.env, say });
  } catch (error) {
    if (!(error instanceof SetUpFailure)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}
