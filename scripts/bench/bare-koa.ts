import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** What any ingress on Koa costs at the least: 401, and nothing is looked at. A process of its own, as Landfall is one. */
export async function startBareKoa(): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', application], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return {
    port: Number(line),
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

const application = `
import Koa from 'koa';
const app = new Koa();
app.use((context) => { context.status = 401; context.body = { title: 'Unauthorized' }; });
const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port));
`;
