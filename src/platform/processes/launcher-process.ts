/** A small process that starts programs for a large one: see launcher.ts. It ends with it, once what it has started has ended. */
import { type LaunchAnswer, type LaunchRequest, readError } from './launch-messages.ts';
import { runHere } from './program.ts';

const running = new Map<number, AbortController>();

process.on('message', (request: LaunchRequest) => {
  if ('stop' in request) running.get(request.stop)?.abort();
  else void launch(request);
});
// Whoever ends the service ends it in order, and asks for what is to be stopped.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);

async function launch({ id, run }: Extract<LaunchRequest, { readonly run: object }>): Promise<void> {
  const stop = new AbortController();
  running.set(id, stop);
  const answer: LaunchAnswer = await runHere({ ...run, signal: stop.signal }).then(
    (end) => ({ id, end }),
    (error: unknown) => ({ id, error: readError(error) }),
  );
  running.delete(id);
  if (process.connected) process.send?.(answer);
}
