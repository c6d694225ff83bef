import assert from 'node:assert/strict';
import { type LoggingChild, startLogging } from '../support/logging-child.ts';
import { eventually } from '../support/wait.ts';

interface Line {
  readonly msg?: string;
}

describe('signals that ask the process to stop', function () {
  this.timeout(30_000);
  let child: LoggingChild;
  beforeEach(async () => {
    const imports = "import { stopAsked } from 'src/process/stop-signals.ts';";
    // It drains without end.
    child = await startLogging(imports, 'stopAsked().tellBy(logging.log); setInterval(() => undefined, 60_000);');
  });
  afterEach(() => child.kill());

  const said = () => child.lines<Line>().flatMap(({ msg }) => msg ?? []);

  it('count once where npm passes on what the terminal has sent already, and say what happens', async () => {
    child.signal('SIGINT');
    await eventually('the first line', async () => said().length > 0);
    child.signal('SIGINT');
    child.signal('SIGTERM');
    assert.equal(await Promise.race([child.ended, new Promise((resolve) => setTimeout(resolve, 300, 'alive'))]), 'alive');
    assert.equal(said().length, 1);
    assert.match(said()[0] ?? '', /^stopping: no more work is taken, .*; once more stops at once$/);
  });

  it('end it at once where somebody asks again, and say so', async () => {
    const asking = setInterval(() => child.signal('SIGTERM'), 50);
    try {
      assert.equal(await child.ended, 1);
    } finally {
      clearInterval(asking);
    }
    assert.deepEqual(
      said().map((text) => text.split(':')[0]),
      ['stopping', 'stopping at once'],
    );
  });
});
