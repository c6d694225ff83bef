import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type Docker from 'dockerode';
import type { Address, Ask, PortProbe } from './ask.ts';

/** What a worker in a container needs to ask a container that it shares no network with. */
export interface AskOptions {
  readonly docker: Docker;
  /** The container that this worker runs in: the helper is made of the same image, which the daemon therefore has. */
  readonly ownContainer: string;
  readonly name: string;
  readonly network: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly probe: PortProbe;
  readonly address: Address;
}

const startsWithinMs = 30_000;
/** Node takes some 50 MiB, and eleven threads. */
const limits = { Memory: 128 * 1024 ** 2, MemorySwap: 128 * 1024 ** 2, PidsLimit: 64, NanoCpus: 1e9 };
const nobody = '65534:65534';
/** More than any answer has. */
const keptErrors = 2_000;

/**
 * Starts a container that asks for this worker, in the network of the container under test. The worker itself never joins that network:
 * whatever it listens on would be open to the image. Whoever calls removes the container by its name in the end.
 * @throws Error if it cannot be started
 */
export async function startAskHelper(options: AskOptions): Promise<Ask> {
  const container = await createHelper(options);
  const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  let errors = '';
  stderr.on('data', (bytes: Buffer) => (errors = (errors + bytes.toString('utf8')).slice(-keptErrors)));
  options.docker.modem.demuxStream(stream, stdout, stderr);
  stream.on('end', () => stdout.end());
  stream.on('error', () => stdout.end());
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  const next = async (signal: AbortSignal): Promise<string> => {
    const over = new AbortController();
    const aborted = once(signal, 'abort', { signal: over.signal }).then(() => Promise.reject(signal.reason));
    const line = await Promise.race([lines.next(), aborted]).finally(() => over.abort());
    if (!line.done) return line.value;
    throw new Error(`the container ${options.name}, which asks for this worker, ended: ${errors.trim() || 'it said nothing'}`);
  };
  await container.start();
  await next(AbortSignal.timeout(startsWithinMs));
  return async (signal) => {
    signal.throwIfAborted();
    stream.write('\n');
    const answer: { readonly found?: string } = JSON.parse(await next(signal));
    return answer.found;
  };
}

async function createHelper({ docker, ownContainer, ...helper }: AskOptions): Promise<Docker.Container> {
  const { Image } = await docker.getContainer(ownContainer).inspect();
  const isSource = import.meta.url.endsWith('.ts');
  const program = fileURLToPath(new URL(isSource ? './ask-process.ts' : './ask-process.js', import.meta.url));
  return await docker.createContainer({
    name: helper.name,
    Image,
    Labels: { ...helper.labels },
    Entrypoint: [process.execPath],
    Cmd: [program, JSON.stringify({ probe: helper.probe, address: helper.address })],
    User: nobody,
    WorkingDir: '/',
    Healthcheck: { Test: ['NONE'] },
    OpenStdin: true,
    // Its input ends when this worker does, and so does it.
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    HostConfig: {
      ...limits,
      NetworkMode: helper.network,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      ReadonlyRootfs: true,
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'none', Config: {} },
    },
  });
}
