/** The GitHub Action `notify`: tells Landfall what this job has pushed. Bundled into dist/index.js by scripts/build-actions.mjs. */
import { getInput, info, setFailed, setOutput, setSecret, warning } from '@actions/core';
import { HttpClient } from '@actions/http-client';
import { explain, readAccepted } from './answers.ts';
import { requestIdToken, tokenRequestFrom } from './id-token.ts';
import { type Inputs, readInputs } from './inputs.ts';
import { type Deadline, persist } from './persist.ts';

/** What an answer that trickles in may take beyond the time. */
const graceMs = 2_000;

async function notify(inputs: Inputs, deadline: Deadline): Promise<void> {
  const { url, audience, image, tags, again } = inputs;
  const request = tokenRequestFrom(process.env);
  const body = JSON.stringify({ image, tags, ...(again && { again }) });
  const answer = await persist(
    'Landfall',
    deadline,
    async (socketTimeout) => {
      // Anew for each attempt: it is good for minutes only.
      const token = await requestIdToken(request, audience, deadline, info);
      setSecret(token);
      const client = new HttpClient('landfall-notify', [], { socketTimeout, allowRedirects: false });
      return await client.post(url, body, { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' });
    },
    info,
  );
  if (answer.status < 200 || answer.status >= 300) throw new Error(explain(answer));
  const { rollouts, links, ignored } = readAccepted(answer);
  setOutput('rollouts', JSON.stringify(rollouts));
  setOutput('links', JSON.stringify(links));
  for (const one of [...rollouts, ...links]) info(one);
  if (ignored !== undefined) warning(`Landfall starts nothing for ${image}: ${ignored}`);
  else info(`Landfall has ${image} with ${tags.join(', ')}.`);
}

async function run(): Promise<void> {
  try {
    const inputs = readInputs(getInput);
    setTimeout(
      () => end(`Expected the whole answer within ${inputs.timeoutMs / 1000} s (timeout-seconds)`),
      inputs.timeoutMs + graceMs,
    );
    await notify(inputs, Date.now() + inputs.timeoutMs);
    end();
  } catch (error) {
    end(error instanceof Error ? error.message : String(error));
  }
}

/** Connections that somebody else keeps open must not keep the job waiting, but what was printed has to arrive. */
function end(problem?: string): void {
  if (problem !== undefined) setFailed(problem);
  process.stdout.write('', () => process.exit());
}

await run();
