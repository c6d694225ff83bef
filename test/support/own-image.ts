import { execFile, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type Docker from 'dockerode';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** What a helper of a worker in a container runs, and what that needs. */
const sources = ['package.json', 'src/platform/docker/ask-process.ts', 'src/platform/docker/ask.ts', 'src/domain/errors.ts'];

/**
 * An image of this very Node and of the few files that a worker's helper runs, at the same paths as here: like Landfall's own image, of which
 * a worker in a container is made. Some 130 MB, because Node is.
 * @returns its id
 */
export async function importOwnImage(docker: Docker): Promise<string> {
  const { stdout } = await promisify(execFile)('ldd', [process.execPath]);
  const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => path);
  const files = [process.execPath, ...libraries, ...sources.map((path) => `${root}${path}`)];
  const tar = spawn('tar', ['--create', '--dereference', '--absolute-names', ...files], { stdio: ['ignore', 'pipe', 'inherit'] });
  const answer = await docker.importImage(tar.stdout, { repo: 'landfall-tests/own', tag: 'latest' });
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(answer, (error) => (error ? reject(error) : resolve()));
  });
  return (await docker.getImage('landfall-tests/own:latest').inspect()).Id;
}
