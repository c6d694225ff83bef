// Runs on a core of its own: each of its texts has 200 ms of the processor, which a busy machine stretches.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { busyMs } from '../../scripts/test/pace.mjs';
import { TrivyFailed } from '../../src/checks/scan/trivy-process.ts';
import { composeFiles } from '../../src/deploys/compose/files.ts';
import { inert } from '../../src/domain/inert-text.ts';
import { headMergedBy } from '../../src/domain/proposal.ts';
import { secretsIn } from '../../src/platform/docker/environment.ts';
import { createMask, lastLines } from '../../src/platform/docker/log-lines.ts';
import { nextPage, parseChallenges } from '../../src/platform/http/headers.ts';
import { readPurl } from '../../src/sources/cloudevents/cdevents.ts';
import { repositoryOf } from '../../src/sources/github/package.ts';
import { referenceIn, repositoryIn } from '../../src/sources/kit/image.ts';
import { printableLine, sourceRepositoryIn } from '../../src/sources/kit/reading.ts';
import { createMask as createLogMask } from '../../src/telemetry/mask.ts';
import { assertWithin } from '../support/processor-time.ts';

const length = 1024 * 1024;
const mostMs = 200;

/** What a pattern may begin with again and again, without ever coming to its end. */
const units = [
  ...['\r', '\n', ' ', '\t', '\r\n', ' \n', '\u001b', '\u001b[', '\u001b]', '\u001b[0', '0', 'a', 'a ', '\u202e'],
  ...['/', '://', 'http://', 'http://a?', '<', '<>', '<a>;', ';', '; rel', ',', 'a=', 'a="', '"', '\\', ':', '@', '#', ' #'],
  ...['-', 'a-', '_', 'a.', '.', '%2F', 'GET ', 'Basic ', 'Bearer a ', 'eyJ', 'COMPOSE_FILE=', 'Landfall-Head: '],
];
const texts = units.flatMap((unit) => {
  const full = unit.repeat(length / unit.length);
  return [full, `COMPOSE_FILE=a${full}!`];
});

describe('text that somebody wrote to keep whoever reads it busy', () => {
  const secret = createLogMask();
  secret.add('a-secret-of-ours');
  const readers: Record<string, (text: string) => unknown> = {
    'the end of a log': (text) => lastLines(Buffer.from(text), createMask(['hunter2'])),
    'the environment of an image': (text) =>
      lastLines(Buffer.from(text), createMask(secretsIn([`A_TOKEN=${text}`, `B=http://a:${text}`]))),
    'a Link header': nextPage,
    'a challenge': parseChallenges,
    "Trivy's log": (text) => new TrivyFailed('exit code 1', text),
    "a package's URL": (url) => repositoryOf({ registry: { url } }, undefined),
    'the name of an image': repositoryIn,
    'a reference': referenceIn,
    'a package URL': readPurl,
    'a name': printableLine,
    'a source repository': sourceRepositoryIn,
    'a line of a proposal': inert,
    'the message of a commit': (text) => headMergedBy(`${text}\n\nLandfall-Rollout: rollout:a`),
    'a line of our own log': secret,
  };
  for (const [what, read] of Object.entries(readers)) {
    it(`takes little time as ${what}`, function () {
      this.timeout(60_000);
      for (const text of texts) {
        const before = busyMs();
        read(text);
        assertWithin(mostMs, busyMs() - before, `${JSON.stringify(text.slice(0, 30))}…`);
      }
    });
  }

  it('takes little time as the variables beside a compose file', async function () {
    this.timeout(60_000);
    const folder = await mkdtemp(join(tmpdir(), 'landfall-env-'));
    try {
      for (const text of texts) {
        await writeFile(join(folder, '.env'), text);
        const before = busyMs();
        await composeFiles(folder, [], undefined).catch(() => undefined);
        assertWithin(mostMs, busyMs() - before, `${JSON.stringify(text.slice(0, 30))}…`);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('takes little time as secrets of an image, thousands of them', () => {
    const lines = Array.from({ length: length / 8 }, (_, index) => `line ${index}`).join('\n');
    const before = busyMs();
    const mask = createMask(secretsIn([`A_TOKEN=${lines}`]));
    assert.match(lastLines(Buffer.from('line 7\n'.repeat(10_000)), mask), /^\(not shown: there are too many secrets/);
    assertWithin(mostMs, busyMs() - before, 'the end of the log');
  });
});
