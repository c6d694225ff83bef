/**
 * The hook `post-receive` of the demo's repository, which git runs once it has taken a push: tells Landfall as Gitea does, signed, and once more where it
 * is busy: a delivery with the same id counts once. git gives it `BEFORE AFTER REF` for each ref on its input, and prints to whoever pushed what it says.
 *
 * `DEMO_GIT_SECRET=… node post-receive.ts WEBHOOK CLONE_URL`
 */
import { createHmac, randomUUID } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';

const [webhook = '', cloneUrl] = process.argv.slice(2);
const refs = (await text(process.stdin)).split('\n').filter((line) => line !== '');
for (const line of refs) {
  const [before, after, ref] = line.split(' ');
  const body = JSON.stringify({ ref, before, after, repository: { clone_url: cloneUrl }, sender: { login: 'ann' } });
  const signature = createHmac('sha256', process.env.DEMO_GIT_SECRET ?? '')
    .update(body)
    .digest('hex');
  const headers = {
    'content-type': 'application/json',
    'x-gitea-event': 'push',
    'x-gitea-delivery': randomUUID(),
    'x-gitea-signature': signature,
  };
  let answer = await fetch(webhook, { method: 'POST', headers, body });
  for (let tries = 1; answer.status === 503 && tries < 5; tries += 1) {
    await pause(tries * 1000);
    answer = await fetch(webhook, { method: 'POST', headers, body });
  }
  console.log(`Landfall was told of ${ref}: ${answer.status}`);
}
