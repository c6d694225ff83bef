import assert from 'node:assert/strict';
import { type LoggingChild, startLogging } from '../support/logging-child.ts';

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly reason?: string;
}

describe('what no code has caught', function () {
  this.timeout(30_000);
  let child: LoggingChild;
  afterEach(() => child.kill());

  /** Runs code in a process that says what nobody caught, and ends by itself with 0 a moment later. */
  const run = async (code: string): Promise<{ exitCode: number | null; lines: Line[] }> => {
    const imports = "import { reportUncaught } from 'src/process/uncaught.ts';\nimport { connect } from 'node:net';";
    child = await startLogging(
      imports,
      `reportUncaught(logging.log); ${code}; setTimeout(() => logging.log.info('alive'), 300);`,
    );
    const exitCode = await child.ended;
    return { exitCode, lines: child.lines<Line>().filter(({ msg }) => msg !== undefined) };
  };

  it('ends nothing where it is a rejection, or a connection that broke: it is an error in the log, with its stack and its cause', async () => {
    const failure = "async function ask() { throw new Error('no answer', { cause: new Error('the daemon is away') }); }";
    const odd = "Promise.reject({ why: 'odd', all: { deep: { process } } })";
    const { exitCode, lines } = await run(`${failure} void ask(); void ${odd}; connect(1, '127.0.0.1')`);
    assert.equal(exitCode, 0);
    assert.deepEqual(
      lines.map(({ level }) => level),
      [50, 50, 50, 30],
    );
    const [first = '', second = '', third = ''] = lines.map(({ reason }) => reason);
    assert.match(first, /^Error: no answer\n +at ask .*\nbecause: Error: the daemon is away\n +at/s);
    assert.ok(second.includes("why: 'odd'") && second.length < 200, second);
    assert.match(third, /ECONNREFUSED/);
    for (const { msg } of lines.slice(0, 3)) assert.match(msg, /it goes on; report this line/);
  });

  it('ends the process with 1 where it is any other exception, and says so first', async () => {
    const { exitCode, lines } = await run("setTimeout(() => { throw new TypeError('x is undefined'); }, 10)");
    assert.deepEqual([exitCode, lines.map(({ level }) => level)], [1, [60]]);
    assert.match(lines[0]?.reason ?? '', /^TypeError: x is undefined\n +at/);
  });
});
