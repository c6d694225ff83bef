import { createHostLock } from '../../../src/platform/files/host-lock.ts';

/** A process that is to be killed: it takes a lock, says `held`, and keeps it, but not longer than a test can take. */
const [folder = '', key = ''] = process.argv.slice(2);
await createHostLock(folder).hold(key, new AbortController().signal, async () => {
  process.stdout.write('held\n');
  await new Promise((_, reject) => setTimeout(() => reject(new Error('nobody killed this process')), 60_000));
});
