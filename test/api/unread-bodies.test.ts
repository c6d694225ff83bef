import assert from 'node:assert/strict';
import { startIngress } from './support/ingress.ts';
import { converse } from './support/raw-http.ts';

const hex = (digits: number): string => '0'.repeat(digits);
/** Each source whose sender signs the body: its path, its header, what stands before the digits, and how many there are. */
const signing = [
  ['/webhook/image-published', 'X-Hub-Signature-256', 'sha256=', 64],
  ['/webhook/gitea', 'X-Gitea-Signature', '', 64],
  ['/webhook/gitea', 'X-Forgejo-Signature', '', 64],
  ['/webhook/gitea', 'X-Hub-Signature-256', 'sha256=', 64],
  ['/webhook/jfrog', 'X-Jfrog-Event-Auth', '', 64],
  ['/webhook/nexus', 'X-Nexus-Webhook-Signature', '', 40],
  ['/webhook/cloudevents', 'X-Event-Signature', 'sha256=', 64],
  ['/webhook/generic/acme', 'X-Acme-Signature', '', 64],
  ['/webhook/generic/old', 'X-Old-Signature', 'sha1=', 40],
] as const;

const settings = {
  github: { secrets: ['env:SECRET'] },
  gitea: { secrets: ['env:SECRET'] },
  jfrog: { secrets: ['env:SECRET'] },
  nexus: { secrets: ['env:SECRET'] },
  cloudevents: { secrets: ['env:SECRET'], signature: { header: 'X-Event-Signature', prefix: 'sha256=' } },
  generic: {
    acme: { secrets: ['env:SECRET'], signature: { header: 'X-Acme-Signature' }, push: { repository: '/r', tag: '/t' } },
    old: {
      secrets: ['env:SECRET'],
      signature: { header: 'X-Old-Signature', prefix: 'sha1=', algorithm: 'sha1' as const },
      push: { repository: '/r', tag: '/t' },
    },
  },
};

describe('a body', () => {
  it('is asked for only where the signature can be one, whatever the source calls it', async () => {
    const ingress = await startIngress({ receivers: settings, env: { SECRET: 'a-secret' } });
    /** Says that a body would come, and sends none unless it is asked for. */
    const announce = async (path: string, header: string, value: string): Promise<string> => {
      const mediaType = path.endsWith('cloudevents') ? 'application/cloudevents+json' : 'application/json';
      const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${mediaType}\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n`;
      const heard = await converse(ingress.port, `${head}${header}: ${value}\r\n\r\n{}`);
      return (heard.match(/HTTP\/1\.1 \d+/g) ?? []).join();
    };
    try {
      for (const [path, header, prefix, digits] of signing) {
        assert.equal(
          await announce(path, header, `${prefix}${hex(digits)}`),
          'HTTP/1.1 100,HTTP/1.1 401',
          `${path} ${header} that can be one`,
        );
        const wrong = ['x', hex(digits - 1), hex(digits + 1), `${hex(digits - 1)}g`, `${hex(digits / 2)} ${hex(digits / 2 - 1)}`];
        const others = [
          hex(digits === 64 ? 40 : 64),
          `sha512=${hex(128)}`,
          '',
          prefix === '' ? `sha256=${hex(digits)}` : hex(digits),
        ];
        for (const value of [...wrong.map((each) => `${prefix}${each}`), ...others]) {
          assert.equal(await announce(path, header, value), 'HTTP/1.1 401', `${path} ${header}: ${value}`);
        }
      }
      const reasons = ingress.audited().map(({ reason }) => reason ?? '');
      assert.ok(
        reasons.some((reason) => /what X-Nexus-Webhook-Signature has is no signature: expected 40 hex digits/.test(reason)),
      );
    } finally {
      await ingress.listeners.stop();
    }
  });
});
