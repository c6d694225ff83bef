import assert from 'node:assert/strict';
import { emptyLane } from '../../src/domain/lane/state.ts';
import { documentText, h } from '../../src/page/html.ts';
import { pageText } from '../../src/page/layout.ts';
import { nowBody } from '../../src/page/now.ts';
import { prose } from '../../src/page/prose.ts';
import { rolloutBody } from '../../src/page/rollout/page.ts';
import { rolloutsBody } from '../../src/page/rollouts.ts';
import { serviceBody } from '../../src/page/service.ts';
import { hostile, hostileOverview, hostileRow, hostileStory, view } from './hostile.ts';

/** What of a text a browser would take for something else than text. */
function active(html: string): string[] {
  const tags = html.match(/<\/?[a-z][^>]*>/gi) ?? [];
  return tags.filter((tag) =>
    /<(?:script(?! type="module" src="\/assets\/)|img|iframe|object|embed|base|style)\b|\son\w+\s*=|javascript:|\sstyle=/i.test(
      tag,
    ),
  );
}

function shown(body: Parameters<typeof pageText>[1]['body']): string {
  return pageText(view, {
    title: hostile,
    readAt: new Date(0).toISOString(),
    readFrom: hostile,
    message: { isProblem: true, text: hostile },
    body,
  });
}

describe('text from outside on the page', () => {
  const pages = {
    'what goes on now': nowBody(view, {
      overview: hostileOverview,
      recent: [hostileRow],
      steps: new Map(),
      firstPush: { file: hostile, services: 0, webhooks: [hostile] },
    }),
    'the list': rolloutsBody(view, {
      filter: { text: hostile, service: hostile },
      page: { rows: [hostileRow], next: hostile },
      services: [hostile],
    }),
    'a rollout': rolloutBody(view, hostile, hostileStory),
    'a service': serviceBody(view, {
      service: hostile,
      lane: { ...emptyLane(), hold: { by: hostile, reason: hostile, at: '2026-01-31T08:00:00Z' } },
      stages: hostileOverview.services[0]?.stages ?? [],
      rollouts: [hostileRow],
      configuration: hostile,
    }),
  };
  for (const [name, body] of Object.entries(pages)) {
    it(`is only text in ${name}`, () => {
      const html = shown(body);
      assert.deepEqual(active(html), []);
      // It is there, though, for people to see.
      assert.ok(html.includes('&lt;script>'), html.slice(0, 2_000));
    });
  }

  it('leads nowhere but to web pages', () => {
    const html = documentText(
      h('main', null, ...prose('see javascript:alert(1) or https://ann:secret@x.example/ or data:text/html,x')),
    );
    assert.ok(!html.includes('<a'), html);
    assert.match(
      documentText(h('main', null, ...prose('see https://x.example/a?b=1&c=2.'))),
      /<a [^>]*href="https:\/\/x.example\/a\?b=1&amp;c=2"/,
    );
  });

  it('is found by this test, if it were not escaped', () => {
    assert.equal(active(`<img src=x onerror="a()">${hostile}`).length, 4);
  });
});
