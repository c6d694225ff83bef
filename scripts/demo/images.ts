import { cp, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { findTool } from '../../src/platform/tools.mjs';
import { type Environment, run } from './run.ts';

/** An image of the demo: what it is for, what is in it, and what it runs. */
export interface DemoImage {
  /** Of the repository. */
  readonly name: string;
  /** Of the folder that it is built in. */
  readonly build: string;
  readonly about: string;
  /** Contents by path. */
  readonly files: Readonly<Record<string, string>>;
  readonly command: string;
}

export const demoImages: readonly DemoImage[] = [
  {
    name: 'web',
    build: 'web',
    about: 'a good one',
    files: { 'www/health': 'well\n' },
    command: 'httpd -f -p 8080 -h /www',
  },
  {
    name: 'shop',
    build: 'shop',
    about: 'one with a critical vulnerability: minimist 1.2.5',
    files: {
      'www/health': 'well\n',
      'app/node_modules/minimist/package.json': JSON.stringify({ name: 'minimist', version: '1.2.5', license: 'MIT' }),
    },
    command: 'httpd -f -p 8080 -h /www',
  },
  {
    name: 'mailer',
    build: 'mailer',
    about: 'one whose container exits at once',
    files: { 'etc/mailer.conf': 'host=\n' },
    command: "echo 'mailer 2.4.0 starting'; echo 'fatal: no host in /etc/mailer.conf'; exit 3",
  },
];

/** Passes every check, and loses its health some seconds after its start: longer than a smoke test takes, shorter than it is watched. */
export const fadingImage: DemoImage = {
  name: 'web',
  build: 'web-fading',
  about: 'one that passes every check, and turns unhealthy when it is in production',
  files: { 'www/health': 'well\n', 'www/version': '2\n' },
  command: 'httpd -p 8080 -h /www; sleep 6; rm /www/health; echo "fatal: lost the database" >&2; exec sleep 100000',
};

/** Builds an image from busybox for this machine's own architecture. */
export async function buildImage(image: DemoImage, reference: string, folder: string, env: Environment): Promise<void> {
  const context = join(folder, image.build);
  const files = join(context, 'files');
  await mkdir(files, { recursive: true });
  for (const [path, text] of Object.entries(image.files)) {
    await mkdir(dirname(join(files, path)), { recursive: true });
    await writeFile(join(files, path), text);
  }
  await writeFile(join(context, 'Dockerfile'), await dockerfile(image, context, env));
  // Without an attestation beside the image, however the builder is configured.
  const plain = { ...env, BUILDX_NO_DEFAULT_ATTESTATIONS: '1' };
  await run(findTool('docker', env) ?? 'docker', ['build', '--quiet', '--tag', reference, context], { env: plain });
}

/** From this machine's static busybox on Linux, which needs no hub; from the image busybox elsewhere. */
async function dockerfile({ command }: DemoImage, context: string, env: Environment): Promise<string> {
  const entry = `COPY files /\nCMD ["/bin/sh", "-c", ${JSON.stringify(command)}]\n`;
  const busybox = process.platform === 'linux' ? findTool('busybox', env) : undefined;
  if (busybox === undefined) return `FROM busybox:stable\n${entry}`;
  await cp(busybox, join(context, 'busybox'), { dereference: true });
  return `FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\n${entry}`;
}
