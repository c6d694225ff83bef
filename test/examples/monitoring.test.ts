import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parse } from 'yaml';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = join(root, 'examples/monitoring');
const run = promisify(execFile);

describe('the rules and the dashboard for Prometheus and Grafana', function () {
  this.timeout(30_000);

  it('are what Prometheus takes, and its alerts come when they should', async () => {
    await run('promtool', ['check', 'config', 'prometheus.yml'], { cwd: folder });
    await run('promtool', ['check', 'rules', '--lint-fatal', 'alerts.yml'], { cwd: folder });
    await run('promtool', ['test', 'rules', 'alerts.test.yml'], { cwd: folder });
  });

  it('have each alert in the documents, with what to do', () => {
    const { groups } = parse(readFileSync(join(folder, 'alerts.yml'), 'utf8')) as {
      readonly groups: readonly { readonly rules: readonly { readonly alert: string }[] }[];
    };
    const documents = readFileSync(join(root, 'docs/operating.md'), 'utf8');
    const documented = [...documents.matchAll(/^\| `(Landfall\w+)` +\|/gm)].map(([, name]) => name);
    assert.deepEqual(
      documented,
      groups.flatMap(({ rules }) => rules.map(({ alert }) => alert)),
    );
  });

  it('ask with expressions that Prometheus understands', async () => {
    const { panels } = JSON.parse(readFileSync(join(folder, 'dashboard.json'), 'utf8')) as {
      readonly panels: readonly { readonly targets?: readonly { readonly expr: string }[] }[];
    };
    const asked = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    assert.ok(asked.length > 30);
    const rules = asked.map((expr, index) => ({
      record: `dashboard:${index}`,
      expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$__range', '1h').replaceAll('$service', '.*'),
    }));
    const scratch = await mkdtemp(join(tmpdir(), 'landfall-monitoring-'));
    try {
      await writeFile(join(scratch, 'rules.yml'), JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
      await run('promtool', ['check', 'rules', 'rules.yml'], { cwd: scratch });
    } finally {
      await rm(scratch, { recursive: true });
    }
  });
});
