import assert from 'node:assert/strict';
import { emptyLane } from '../../src/domain/lane/state.ts';
import { figuresOf } from '../../src/operations/figures.ts';
import { pageText } from '../../src/page/layout.ts';
import { loginBody } from '../../src/page/login.ts';
import { nowBody } from '../../src/page/now.ts';
import { recordBody } from '../../src/page/record.ts';
import { rolloutBody } from '../../src/page/rollout/page.ts';
import { rolloutsBody } from '../../src/page/rollouts.ts';
import { serviceBody } from '../../src/page/service.ts';
import { hostileOverview, hostileRow, hostileStory, view } from './hostile.ts';

describe('a page that a proxy shows below a path', () => {
  const below = { ...view, base: '/landfall', linkTo: () => 'https://temporal.example/' };
  const figures = { ...figuresOf([], { days: 7, now: 0 }), isCut: false };
  const pages = {
    now: nowBody(below, {
      overview: hostileOverview,
      recent: [hostileRow],
      steps: new Map(),
      firstPush: { file: 'f', services: 0, webhooks: [] },
    }),
    rollouts: rolloutsBody(below, { filter: {}, page: { rows: [hostileRow], next: 'n' }, services: ['a'] }),
    rollout: rolloutBody(below, 'rollout:web:latest:000000000000', hostileStory),
    service: serviceBody(below, { service: 'web', lane: emptyLane(), stages: [], rollouts: [hostileRow] }),
    record: recordBody(below, figures, ['web'], 'web'),
    login: loginBody(below, { token: true, oidc: true }, '/rollouts', ''),
  };
  for (const [name, body] of Object.entries(pages)) {
    it(`leads nowhere else of its site: ${name}`, () => {
      const live = { topic: 'all' };
      const html = pageText(below, { title: name, live, readAt: new Date(0).toISOString(), readFrom: 'a test', body });
      const links = [...html.matchAll(/ (?:href|action|src|data-stream)="([^"]*)"/g)].map(([, link = '']) => link);
      assert.ok(links.length > 5);
      const others = links.filter((link) => !link.startsWith('/landfall/') && link !== '#content');
      assert.deepEqual([...new Set(others)], name === 'rollout' ? ['https://temporal.example/'] : []);
    });
  }
});
