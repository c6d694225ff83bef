import { type Children, el, h, p } from './html.ts';
import { at, type PageView } from './view.ts';

/** How people say who they are here. */
export interface LoginWays {
  /** There are operators with tokens. */
  readonly token: boolean;
  /** There is an OpenID provider. */
  readonly oidc: boolean;
}

/** @param back a path of ours, which is shown afterwards */
export function loginBody(view: PageView, ways: LoginWays, back: string, refused: string): Children {
  const query = new URLSearchParams({ return: back });
  const hasWay = ways.token || ways.oidc;
  return [
    el(
      'section',
      'login card',
      { 'aria-labelledby': 'login' },
      el('h1', '', { id: 'login' }, 'Log in'),
      ways.oidc && el('a', 'button primary', { href: at(view, `/login/oidc?${query}`) }, 'Log in at your provider'),
      ways.token && tokenForm(view, back, ways.oidc ? '' : 'primary'),
      !hasWay && p('', refused),
    ),
  ];
}

function tokenForm(view: PageView, back: string, kind: string) {
  const token = h('input', {
    name: 'token',
    type: 'password',
    required: true,
    autocomplete: 'current-password',
    spellcheck: 'false',
  });
  return el(
    'form',
    '',
    { method: 'post', action: at(view, '/login') },
    h('input', { type: 'hidden', name: 'return', value: back }),
    h('label', null, 'Token of an operator', token),
    el('button', `button ${kind}`, { type: 'submit' }, 'Log in'),
    p('quiet', 'A token is made by ', h('code', null, 'landfall token'), '; its hash stands in the configuration.'),
  );
}
