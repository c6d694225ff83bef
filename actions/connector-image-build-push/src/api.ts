import { setSecret } from '@actions/core';
import { HttpClient, type HttpClientResponse } from '@actions/http-client';
import type { BuildStory } from '../../../src/operations/build-story.ts';
import { requestIdToken, tokenRequestFrom } from '../../notify/src/id-token.ts';
import { type Answer, asRecord, detailOf, parseJson, persist } from '../../notify/src/persist.ts';
import type { LandfallInputs } from './inputs.ts';

/** One of the future may have more members, and statuses. */
export type BuildAnswer = BuildStory;

export interface StartedBuild {
  readonly build: string;
  /** Of the query: somebody else may have the same commit built anew. */
  readonly run: string;
  readonly wasRunning: boolean;
}

export interface Landfall {
  /** @param round of asking in the same words: another one is not answered as the last one was */
  start(asked: object, round: number): Promise<StartedBuild>;
  read(build: StartedBuild): Promise<BuildAnswer>;
}

/** Before a token of some minutes is asked for anew. */
const usableMs = 120_000;

/** Asks its API again and again where it does not answer, as while it starts anew. @throws Error where the answer is no */
export function createLandfall({ url, audience }: LandfallInputs, deadline: number, report: (line: string) => void): Landfall {
  const request = tokenRequestFrom(process.env);
  let token = { text: '', at: 0 };
  const currentToken = async (): Promise<string> => {
    if (Date.now() - token.at < usableMs) return token.text;
    token = { text: await requestIdToken(request, audience, deadline, report), at: Date.now() };
    setSecret(token.text);
    return token.text;
  };
  const ask = async (send: (client: HttpClient, authorization: string) => Promise<HttpClientResponse>): Promise<unknown> => {
    const answer = await persist(
      'Landfall',
      deadline,
      async (socketTimeout) => {
        const client = new HttpClient('landfall-build', [], { socketTimeout, allowRedirects: false });
        return await send(client, `Bearer ${await currentToken()}`);
      },
      report,
    );
    if (answer.status === 200) return parseJson(answer.text);
    throw new Error(explain(answer));
  };
  const api = `${url}/api/v1/builds`;
  return {
    async start(asked, round) {
      const body = JSON.stringify(asked);
      const answer = await ask((client, Authorization) =>
        client.post(api, body, { Authorization, 'Content-Type': 'application/json', 'Idempotency-Key': `round-${round}` }),
      );
      const { builds } = asRecord(answer);
      const [found, another] = Array.isArray(builds) ? builds.map(asRecord) : [];
      if (typeof found?.build !== 'string' || another !== undefined)
        throw new Error(
          `expected Landfall to build one image, found ${another === undefined ? 'none' : 'several'}: name it in build`,
        );
      return {
        build: found.build,
        run: typeof found.run === 'string' ? `?run=${found.run}` : '',
        wasRunning: found.wasRunning === true,
      };
    },
    read: async ({ build, run }) =>
      (await ask((client, Authorization) => client.get(`${api}/${build}${run}`, { Authorization }))) as BuildAnswer,
  };
}

const explanations: Readonly<Record<number, string>> = {
  401: "Landfall does not take this job's token. Compare audience with login.jobs.audience of Landfall",
  403: 'See login.jobs and builds of Landfall',
  404: 'Expected the listener for operators of a Landfall that has builds. Check landfall-url and build',
  421: 'Add the host of landfall-url to listen.operatorNames of Landfall',
};

function explain(answer: Answer): string {
  const { status } = answer;
  const isRedirect = status >= 300 && status < 400;
  const why = isRedirect ? 'Tokens are not sent on. Set landfall-url to where it leads' : explanations[status];
  return `Landfall answered ${status}${detailOf(answer)}${why === undefined ? '' : ` (${why})`}`;
}
