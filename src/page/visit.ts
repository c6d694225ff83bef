import type { Context } from 'koa';
import { answerPage } from './answer.ts';
import type { PageDependencies } from './dependencies.ts';
import { documentText, h } from './html.ts';
import { loginBody } from './login.ts';
import { themeOf, wayBack } from './request.ts';
import { type PageView, paths, type Viewer } from './view.ts';

/** Who looks, and where those are sent who have not said so. */

/** @returns undefined for somebody who has to log in first */
export async function viewOf(context: Context, dependencies: PageDependencies): Promise<PageView | undefined> {
  const viewer = await dependencies.viewerOf(context);
  return 'refused' in viewer ? undefined : viewFor(context, dependencies, viewer);
}

function viewFor(context: Context, { baseOf, linkTo }: PageDependencies, viewer: Viewer): PageView {
  return {
    base: baseOf(context.req),
    theme: themeOf(context),
    now: Date.now(),
    viewer,
    here: `${context.path}${context.search}`,
    ...(linkTo && { linkTo }),
  };
}

/** Who has logged in already, or need not, is led on. */
export async function showLogin(context: Context, dependencies: PageDependencies): Promise<void> {
  const back = wayBack([context.query.from].flat()[0], paths.now());
  const viewer = await dependencies.viewerOf(context);
  if (!('refused' in viewer)) {
    seeOther(context, dependencies.baseOf(context.req) + back);
    return;
  }
  const nobody = { actor: { name: '' }, mayOperate: false, mayApprove: false, isLoggedIn: false };
  const view = viewFor(context, dependencies, nobody);
  const body = loginBody(view, dependencies.loginWays(), back, viewer.refused);
  const message = context.query.failed === undefined ? undefined : { isProblem: true, text: 'The token is nobody’s here.' };
  const read = { readAt: new Date(view.now).toISOString(), readFrom: 'the configuration' };
  answerPage(context, view, { ...{ title: 'Log in', body }, ...read, ...(message && { message }) });
}

/**
 * A browser keeps the cookie of a login back from whoever follows a link on another site, such as in a chat. Asked for once more by a page of
 * ours, it sends it along.
 */
export function sendToLogin(context: Context, { baseOf }: PageDependencies): void {
  const here = `${context.path}${context.search}`;
  const base = baseOf(context.req);
  if (context.get('Sec-Fetch-Site') !== 'cross-site') {
    const from = context.method === 'GET' ? here : paths.now();
    seeOther(context, `${base}/login?${new URLSearchParams({ from })}`);
    return;
  }
  const again = `${base}${wayBack(here, paths.now())}`;
  context.type = 'text/html; charset=utf-8';
  context.body = documentText(
    h(
      'html',
      { lang: 'en' },
      h('head', null, h('title', null, 'Landfall'), h('meta', { 'http-equiv': 'refresh', content: `0;url=${again}` })),
      h('body', null, h('p', null, h('a', { href: again }, 'Go on to Landfall'))),
    ),
  );
}

export function seeOther(context: Context, to: string): void {
  context.redirect(to);
  context.status = 303;
}
