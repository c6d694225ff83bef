import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type Docker from 'dockerode';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { rolloutId } from '../../src/contracts/start-options.ts';
import { hashOfToken } from '../../src/domain/decision-proof.ts';
import type { Digest, Tag } from '../../src/domain/image-reference.ts';
import { seriousProblems, startBrowser, watchPage } from '../support/browser.ts';
import { runContainer } from '../support/containers.ts';
import { ensureDocker } from '../support/docker.ts';
import { pushImage } from '../support/images.ts';
import { healthyImage, lookedAt } from '../support/production.ts';
import { startWorld, type World } from '../support/world.ts';

const tokens = { ann: 'a-token-of-ann-that-nobody-guesses', eve: 'a-token-of-eve-that-nobody-guesses' };
const hostile = '"><img src=x onerror="window.broken=1"><script>window.broken=1</script>';
const vulnerable = { 'app/node_modules/minimist/package.json': '{"name":"minimist","version":"1.2.5"}' };

/** In one world, in this order: what one test leaves, the next one looks at. */
describe('the page, in a browser', function () {
  this.timeout(240_000);
  const container = `landfall-page-${randomUUID().slice(0, 8)}`;
  let world: World;
  let docker: Docker;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let quiet: ReturnType<typeof watchPage>;
  let first: Digest;
  let second: Digest;
  const at = (path: string): string => `${world.operators}${path}`;
  const rollout = (service: string, digest: Digest): string =>
    `/rollouts/${encodeURIComponent(rolloutId(service, { tag: 'latest' as Tag, digest }))}`;

  before(async () => {
    docker = await ensureDocker();
    world = await startWorld({
      forge: 'git',
      configuration: {
        operators: [
          { name: 'ann', token: 'env:ANN', roles: ['approve', 'operate'] },
          { name: 'eve', token: 'env:EVE', roles: ['view'] },
        ],
      },
      env: { ANN: await hashOfToken(tokens.ann), EVE: await hashOfToken(tokens.eve) },
      service: {
        ...{ smoke: 'off', change: 'off', deploy: { docker: { container } }, approval: { from: ['ann'] } },
        watch: { docker: true, for: '1s', interval: '300ms', failures: 1, startPeriod: '10s' },
      },
      services: (host) => [
        { name: 'shop', image: `${host}/team/shop`, tags: ['latest'], scan: 'off', change: 'off', smoke: { timeout: '20s' } },
      ],
    });
    first = await world.push('first', lookedAt(healthyImage('first')));
    await runContainer(docker, container, `${world.host}/team/web@${first}`);
    [browser] = await Promise.all([startBrowser(), world.start()]);
    context = await browser.newContext();
    page = await context.newPage();
    page.setDefaultTimeout(100_000);
    quiet = watchPage(page);
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(world.lastWords());
  });
  after(async () => {
    await browser?.close();
    await world?.stop();
    for (const { Id, Names } of await docker.listContainers({ all: true })) {
      if (Names.some((name) => name.includes(container))) await docker.getContainer(Id).remove({ force: true, v: true });
    }
  });

  const logIn = async (to: Page, token: string): Promise<void> => {
    await to.getByLabel('Token of an operator').fill(token);
    await to.getByRole('button', { name: 'Log in' }).click();
  };

  it('lets nobody see anything who has not logged in, and leads to where they wanted to go', async () => {
    await page.goto(at('/rollouts?status=blocked'));
    await logIn(page, 'a-token-that-nobody-has');
    await page.getByRole('alert').getByText('nobody’s').waitFor();
    assert.deepEqual(await seriousProblems(page), []);
    quiet.problems.length = 0;
    await page.goto(at('/rollouts?status=blocked'));
    await logIn(page, tokens.ann);
    await page.waitForURL(/\/rollouts\?status=blocked$/);
    await page.getByText('ann', { exact: true }).waitFor();
  });

  it('says how to send the first push, and shows it without being loaded again', async () => {
    await page.goto(at('/'));
    await page.getByText('Nothing has been rolled out yet').waitFor();
    await page.getByText(`${world.webhooks}/webhook/distribution`).first().waitFor();
    await page.evaluate('window.loaded = "once"');
    const { files, ...image } = lookedAt(healthyImage('second'));
    second = await world.push('latest', { ...image, files: { ...files, ...vulnerable }, labels: { title: hostile } });
    const card = page.getByRole('article', { name: /^web:latest/ });
    await card.getByText('CVE-2021-44906').first().waitFor();
    assert.equal(await page.evaluate('window.loaded'), 'once');
    assert.match(await page.title(), /^\(1\)/);
  });

  it('shows whoever may only look what they lack, and takes nothing from them', async () => {
    const other = await browser.newContext();
    const looks = await other.newPage();
    await looks.goto(at('/'));
    await logIn(looks, tokens.eve);
    await looks.getByText('To retry, skip or reject scan takes the role operate.').waitFor();
    assert.equal(await looks.getByRole('button', { name: 'Retry scan' }).count(), 0);
    const pressed = `fetch(${JSON.stringify(`${rollout('web', second)}/decide`)}, { method: 'POST', body: new URLSearchParams({ verb: 'abort' }) }).then(({ status }) => status)`;
    assert.equal(await looks.evaluate(pressed), 403);
    await other.close();
  });

  it('has what is blocked retried, skipped with a reason, and approved, by buttons', async () => {
    await page.getByRole('button', { name: 'Retry scan' }).click();
    await page.getByText('It is tried again.').waitFor();
    await page.goto(at(rollout('web', second)));
    await page.getByText('Skip…').click();
    await page.getByLabel('Reason', { exact: true }).fill(hostile);
    await page.getByRole('button', { name: 'Skip scan' }).click();
    await page.getByRole('heading', { name: 'Waived' }).waitFor();
    await page.getByRole('button', { name: 'Approve production' }).click();
    await page.locator('h1').getByText('delivered').waitFor();
    const said = page.getByRole('table', { name: 'Decisions' });
    for (const verb of ['retry scan', 'skip scan', 'approve']) await said.getByText(verb).first().waitFor();
  });

  it('leads in three clicks at most to who approved what runs, and what a tag would do', async () => {
    await page.goto(at('/'));
    await page.locator('.stage-cell').getByRole('link', { name: 'latest' }).first().click();
    await page.getByRole('table', { name: 'Decisions' }).getByText('ann').first().waitFor();
    await page.goto(at('/'));
    await page.getByRole('link', { name: 'web', exact: true }).first().click();
    await page.getByLabel('Tag', { exact: true }).fill('1.5.0');
    await page.getByRole('button', { name: 'Ask' }).click();
    await page.getByText('1.5.0 is not what it follows').waitFor();
    assert.deepEqual(await seriousProblems(page), []);
  });

  it('rolls back in three clicks, says from what to what before, and what ran until then', async () => {
    await page.goto(at('/'));
    await page.getByRole('link', { name: 'web', exact: true }).first().click();
    await page.getByText('Roll back…').click();
    const terms = (await page.locator('.from-to').textContent()) ?? '';
    assert.ok(terms.includes(second) && terms.includes(first), terms);
    await page.locator('details[open]').getByLabel('Reason', { exact: true }).fill('it was only a test');
    await page.getByRole('button', { name: 'Roll back production' }).click();
    await page.getByRole('row', { name: /rollback of latest.*rolled-back/ }).waitFor();
    await page.getByRole('heading', { name: 'Quarantine' }).waitFor();
    await page.getByText('What it ran before').click();
    await page.locator('details[open]').getByTitle(second).waitFor();
  });

  it('shows the last lines of a container, and runs nothing of them', async () => {
    const lines = hostile.replaceAll('"', '\\"');
    const crash = await pushImage(world.registry, 'team/shop', 'latest', {
      busybox: true,
      cmd: ['sh', '-c', `echo "${lines}"; exit 3`],
    });
    await page.goto(at('/'));
    await page
      .getByRole('article', { name: /^shop:latest/ })
      .locator('pre')
      .getByText('window.broken')
      .waitFor();
    await page.goto(at(rollout('shop', crash)));
    await page.locator('pre').getByText('window.broken').waitFor();
    assert.equal(await page.evaluate('window.broken'), undefined);
    quiet.assertQuiet();
  });

  it('holds everything, and releases it, without script', async () => {
    const plain = await browser.newContext({ javaScriptEnabled: false });
    const without = await plain.newPage();
    await without.goto(at('/'));
    await logIn(without, tokens.ann);
    await without.getByText('Hold everything…').click();
    await without.locator('.end-of-page input[name=reason]').fill('an audit');
    await without.getByRole('button', { name: 'Hold everything' }).click();
    await without.getByText('Everything is held').waitFor();
    await page.goto(at('/'));
    await page.getByText('an audit').waitFor();
    await without.getByRole('button', { name: 'Release everything' }).click();
    // The other page hears of it.
    await page.getByText('Everything is held').waitFor({ state: 'detached' });
    await plain.close();
  });

  it('keeps its colours when they are switched', async () => {
    await page.goto(at('/rollouts'));
    await page.getByRole('button', { name: /^Colours/ }).click();
    assert.equal(new URL(page.url()).pathname, '/rollouts');
    assert.equal(await page.locator('html').getAttribute('data-theme'), 'light');
  });

  it('has filters that live in the URL, and says what is wrong with one', async () => {
    await page.goto(at('/rollouts'));
    await page.getByLabel('Status').selectOption('delivered');
    await page.getByRole('button', { name: 'Show' }).click();
    await page.waitForURL(/status=delivered/);
    assert.equal(await page.getByRole('row').count(), 2);
    await page.goto(at('/rollouts?digest=none'));
    await page.getByRole('alert').getByText('hex digits').waitFor();
    quiet.problems.length = 0;
  });

  it('asks for nothing while nobody sees it', async () => {
    const other = await context.newPage();
    await other.addInitScript(
      'window.streams = []; window.EventSource = class extends EventSource { constructor(url) { super(url); streams.push(this); } }',
    );
    await other.goto(at('/'));
    await other.locator('#live[data-state=live]').waitFor();
    const turn = async (isHidden: boolean): Promise<unknown> =>
      await other.evaluate(
        `Object.defineProperty(document, 'hidden', { value: ${isHidden}, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
        streams.filter(({ readyState }) => readyState !== EventSource.CLOSED).length`,
      );
    assert.deepEqual([await turn(true), await turn(false)], [0, 1]);
    await other.close();
  });

  it('counts in its record what people had to do', async () => {
    await page.goto(at('/record'));
    const needed = page.getByRole('article', { name: 'Needed a person' });
    await needed.getByText('100 %').first().waitFor();
    await page.getByRole('article', { name: 'Success' }).getByText('100 %').first().waitFor();
  });

  it('is reached by keyboard, the content first', async () => {
    await page.goto(at('/'));
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate('document.activeElement.textContent'), 'Skip to the content');
  });

  it('tells what is not there, on a page', async () => {
    const response = await page.goto(at('/rollouts/web:latest:000000000000'));
    assert.equal(response?.status(), 404);
    await page.getByRole('link', { name: 'Now' }).waitFor();
    quiet.problems.length = 0;
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`has nothing serious that axe would find, ${colorScheme}, ${colorScheme === 'dark' ? 'on a phone' : 'at a desk'}`, async () => {
      const looked = await browser.newContext({
        colorScheme,
        viewport: colorScheme === 'dark' ? { width: 390, height: 800 } : { width: 1280, height: 900 },
        storageState: await context.storageState(),
      });
      const other = await looked.newPage();
      const most = ['/', rollout('web', second), '/services/web'];
      const paths = colorScheme === 'dark' ? most : [...most, '/rollouts', '/record', '/services/none'];
      for (const path of paths) {
        await other.goto(at(path));
        assert.deepEqual(await seriousProblems(other), [], path);
      }
      await looked.close();
    });
  }
});
