import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cgroupOf, cgroupTrees, makeOwnFolder, removeOwnFolder } from '../../../scripts/setup/leftovers.mjs';
import { eventually } from '../wait.ts';

/*
 * Where a node's programs run: processes and mounts have namespaces of their own, and so has the network of its pods. Its first process lives
 * for as long as somebody holds its standard input open. When it ends, the kernel ends all others, unmounts what they mounted and removes the
 * network's interfaces, also when the tests are killed. The programs themselves have the network of the tests, so that both find each other.
 */

/** What no network has in earnest (RFC 2544, for benchmarks): of `198.18.N` and `198.19.N` each place has its own N. */
export interface PlaceNetwork {
  /** The machine's end of the link to the pods: programs listen here, on the ports that they always have, and pods get here. */
  readonly address: string;
  readonly serviceRange: string;
  readonly podRange: string;
  /** The addresses of `podRange` that pods may have, first and last; the first's predecessor is the gateway's. */
  readonly podAddresses: readonly [string, string];
}

export interface PlacedProgram {
  readonly ended: Promise<unknown>;
  /** Ends it, and waits until it has ended. */
  end(signal: NodeJS.Signals): Promise<void>;
  /** Why it does not run any more, with its last lines. */
  failure(): Promise<string | undefined>;
}

export interface Place {
  readonly folder: string;
  /** The control group that is for the pods. */
  readonly cgroup: string;
  readonly network: PlaceNetwork;
  /** Its output goes to `NAME.log` in the folder. */
  run(name: string, command: readonly string[], env: Readonly<Record<string, string | undefined>>): Promise<PlacedProgram>;
  /** Ends and removes all of it. */
  close(): Promise<void>;
}

/**
 * /run and the fixed places of the kubelet are its own and in memory. Of the machine's kernel settings it changes copies: the kubelet would
 * have the machine restart after a panic.
 */
const firstProcess = `
set -e
mkdir -p /var/lib/kubelet
for folder in /run /var/lib/kubelet /var/log; do mount -t tmpfs -o mode=755 tmpfs $folder; done
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  copy=/run/settings-$(basename $setting)
  cat /proc/sys/$setting > $copy
  mount --bind $copy /proc/sys/$setting
done
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
echo ready
cat > /dev/null
exit`;

export async function openPlace(): Promise<Place> {
  const folder = makeOwnFolder('cluster');
  const keeper = spawn(
    'unshare',
    ['--net', '--mount', '--pid', '--mount-proc', '--fork', '--kill-child', 'sh', '-c', firstProcess],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  const ended = once(keeper, 'exit');
  const started: PlacedProgram[] = [];
  const close = async (link?: string): Promise<void> => {
    keeper.stdin.end();
    await ended;
    await Promise.all(started.map((program) => program.ended));
    // The kernel removes it a moment later.
    if (link !== undefined) await ip(['link', 'delete', link]).catch(() => undefined);
    removeOwnFolder(folder);
  };
  try {
    const isReady = await Promise.race([once(keeper.stdout, 'data').then(() => true), ended.then(() => false)]);
    if (!isReady) throw new Error('a place for a Kubernetes node could not be made: it needs root on Linux, see above');
    const pid = await onlyChildOf(keeper);
    const number = await claimNumber(pid);
    const network = networkOf(number);
    await connect(number, pid, network);
    const cgroup = await makeCgroup(folder);
    const run: Place['run'] = async (name, command, env) => {
      const program = await runIn(pid, join(folder, `${name}.log`), command, env);
      started.push(program);
      return program;
    };
    return { folder, cgroup, network, run, close: () => close(linkOf(number)) };
  } catch (error) {
    await close();
    throw error;
  }
}

/** As the system knows it here: inside, it is another. */
async function onlyChildOf(parent: ChildProcess): Promise<string> {
  return (await readFile(`/proc/${parent.pid}/task/${parent.pid}/children`, 'utf8')).trim();
}

const linkOf = (number: number) => `lfk${number}`;

/** Who makes the link of a number has it: there are no two of one name. */
async function claimNumber(pid: string): Promise<number> {
  for (;;) {
    const number = randomInt(256);
    try {
      await ip(['link', 'add', linkOf(number), 'type', 'veth', 'peer', 'name', 'machine', 'netns', pid]);
      return number;
    } catch (error) {
      if (!String(error).includes('File exists')) throw error;
    }
  }
}

function networkOf(number: number): PlaceNetwork {
  return {
    address: `198.18.${number}.1`,
    serviceRange: `198.18.${number}.0/24`,
    podRange: `198.19.${number}.0/24`,
    podAddresses: [`198.19.${number}.2`, `198.19.${number}.250`],
  };
}

async function connect(number: number, pid: string, { address, podRange }: PlaceNetwork): Promise<void> {
  const link = linkOf(number);
  const inside = `198.19.${number}.254`;
  const theirs = [
    `address add ${inside}/32 dev machine`,
    'link set machine up',
    `route add ${address}/32 dev machine`,
    `route add default via ${address}`,
  ];
  const ours = [
    `address add ${address}/32 dev ${link}`,
    `link set ${link} up`,
    `route add ${inside}/32 dev ${link}`,
    `route add ${podRange} via ${inside}`,
  ];
  for (const line of ours) await ip(line.split(' '));
  for (const line of theirs) await promisify(execFile)('nsenter', ['--target', pid, '--net', 'ip', ...line.split(' ')]);
}

async function ip(words: readonly string[]): Promise<void> {
  await promisify(execFile)('ip', [...words]);
}

/** In every tree of control groups that there is: one with version 2, one for each controller with version 1. */
async function makeCgroup(folder: string): Promise<string> {
  for (const tree of cgroupTrees().filter((each) => existsSync(join(each, 'cgroup.procs')))) {
    await passOnControllers(tree);
    const group = join(tree, cgroupOf(folder));
    await mkdir(group, { recursive: true });
    for (const setting of ['cpuset.cpus', 'cpuset.mems'])
      if (existsSync(join(group, setting))) await writeFile(join(group, setting), await readFile(join(tree, setting)));
  }
  return `/${cgroupOf(folder)}`;
}

/** With version 2, a group has those controllers that its parent passes on; systemd leaves some out that the kubelet asks for. */
async function passOnControllers(tree: string): Promise<void> {
  const available = join(tree, 'cgroup.controllers');
  const names = existsSync(available) ? (await readFile(available, 'utf8')).trim().split(' ').filter(Boolean) : [];
  // Where one cannot be passed on, the kubelet says whether it can do without.
  for (const name of names) await writeFile(join(tree, 'cgroup.subtree_control'), `+${name}`).catch(() => undefined);
}

async function runIn(
  pid: string,
  logFile: string,
  command: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<PlacedProgram> {
  const log = await open(logFile, 'a');
  const outer = spawn('nsenter', ['--target', pid, '--mount', '--pid', '--', ...command], {
    env,
    stdio: ['ignore', log.fd, log.fd],
  });
  await log.close();
  // It keeps nobody from ending: without this process there is none of them.
  outer.unref();
  const ended = once(outer, 'exit');
  const hasEnded = () => outer.exitCode !== null || outer.signalCode !== null;
  return {
    ended,
    async end(signal) {
      if (hasEnded()) return;
      // It may not be there yet, and 0 would be ourselves.
      const pid = await eventually('nsenter to start its program', async () => (await onlyChildOf(outer)) || undefined);
      process.kill(Number(pid), signal);
      await ended;
    },
    async failure() {
      if (!hasEnded()) return undefined;
      const lines = (await readFile(logFile, 'utf8')).trimEnd().split('\n').slice(-15);
      return `it ended with ${outer.signalCode ?? outer.exitCode}. Its last lines:\n${lines.join('\n')}`;
    },
  };
}
