import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { laneStartOptions, rolloutStartOptions } from '../../src/contracts/start-options.ts';
import { standInLanes, standInRollouts } from '../cli/stand-ins.ts';
import { imageOf, planOf, pushOf } from '../support/plans.ts';
import { schemathesisProgram } from '../support/schemathesis.ts';
import { startNamespace, type TestNamespace } from '../support/temporal.ts';
import { runWorkers, type TestWorkers } from '../support/worker.ts';
import { type OperatorListener, startOperators } from './support/operators.ts';

/*
 * Part of `npm run test:operators`, apart from `npm test`, because it takes some minutes: requests that schemathesis makes of the OpenAPI
 * document, also of what it does not allow. They are the same each time; SCHEMATHESIS_SEED makes others, SCHEMATHESIS_EXAMPLES more.
 */
describe('the API under schemathesis', function () {
  this.timeout(15 * 60_000);
  let temporal: TestNamespace;
  let workers: TestWorkers;
  let folder: string;
  let api: OperatorListener;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-schemathesis-'));
    temporal = await startNamespace();
    workers = await runWorkers(temporal, [standInRollouts, standInLanes]);
    for (const service of ['web', 'asking']) {
      const plan = planOf({ service });
      const image = imageOf(plan, service, 'latest');
      await temporal.client.workflow.start('rollout', rolloutStartOptions({ plan, image, push: pushOf(image) }));
      await temporal.client.workflow.start('lane', laneStartOptions(service));
    }
    const text =
      'services: [{ name: web, image: registry.example.test/team/web }, { name: asking, image: registry.example.test/team/asking }]\n';
    api = await startOperators(temporal.client, folder, text);
  });

  after(async () => {
    await api?.stop();
    await workers?.stop();
    await temporal?.stop();
    await rm(folder, { recursive: true });
  });

  it('answers nothing that its document does not tell, and never with a defect of ours', async () => {
    const checks =
      'not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,negative_data_rejection';
    const { SCHEMATHESIS_SEED: seed = '20260131', SCHEMATHESIS_EXAMPLES: examples = '10' } = process.env;
    const { stdout } = await promisify(execFile)(
      await schemathesisProgram(),
      [
        ...['run', `${api.url}/api/v1/openapi.json`, '--url', `${api.url}/api/v1`, '--checks', checks, '--no-color'],
        // A stream of events never ends.
        ...['--exclude-path', '/events', '--max-examples', examples, '--seed', seed],
      ],
      { cwd: folder, maxBuffer: 64 * 1024 * 1024 },
    ).catch((error: { stdout?: string; stderr?: string }) =>
      assert.fail(`${error.stdout ?? ''}${error.stderr ?? String(error)}`),
    );
    // It exits with 0 also where it could ask nothing.
    const [, selected, tested] = /Selected: (\d+)\/\d+\s+Tested: (\d+)/.exec(stdout) ?? [];
    assert.ok(Number(tested) > 20 && tested === selected, stdout);
    const [, generated, passed] = /(\d+) generated, (\d+) passed/.exec(stdout) ?? [];
    assert.ok(Number(passed) > 500 && passed === generated, stdout);
  });
});
