import assert from 'node:assert/strict';
import type { Authenticity, ClientCertificate } from '../../src/http/authentication.ts';
import { byClientCertificate, certificateSubject } from '../../src/sources/quay/index.ts';

describe('a TLS client certificate as proof', () => {
  it('is taken where its chain is trusted and one of its names is the subject', () => {
    assert.deepEqual(verdict('*.quay.io', { names: ['*.quay.io', 'quay.io'] }), { authentic: true });
    assert.deepEqual(verdict('hooks.example.org', { names: ['ann', 'hooks.example.org'] }), { authentic: true });
  });

  it('fits a pattern whose * stands for exactly one label', () => {
    for (const name of ['*.quay.io', 'webhooks.quay.io', 'WEBHOOKS.Quay.IO', '_x.quay.io'])
      assert.equal(fits('*.quay.io', name), true, name);
    for (const name of [
      'quay.io',
      '.quay.io',
      'a.b.quay.io',
      '*.*.quay.io',
      'webhooks.quay.io.evil.example',
      'evilquay.io',
      'webhooks.quay.io.',
      ' webhooks.quay.io',
      'webhooks.quay.io\n',
      'evil\u0000.quay.io',
      'evil.example\u0000.quay.io',
      'évil.quay.io',
      '**.quay.io',
      'w*.quay.io',
      '-.quay.io',
      '',
      '*',
      `${'a'.repeat(300)}.quay.io`,
    ]) {
      assert.equal(fits('*.quay.io', name), false, JSON.stringify(name));
    }
  });

  it('takes a subject without * to the letter, whatever its case: no certificate for *.quay.io stands for it', () => {
    assert.equal(fits('Webhooks.quay.io', 'webhooks.QUAY.io'), true);
    assert.equal(fits('webhooks.quay.io', '*.quay.io'), false);
    // U+212A is no k, though it becomes one in lower case.
    assert.equal(fits('webhooks.quay.io', 'webhoo\u212As.quay.io'), false);
  });

  it('fits a * at any place, and several', () => {
    assert.equal(fits('hooks.*.example.org', 'hooks.eu.example.org'), true);
    assert.equal(fits('hooks.*.example.org', 'hooks.eu.west.example.org'), false);
    assert.equal(fits('*.*.example.org', 'hooks.eu.example.org'), true);
  });

  it('is refused without a trusted chain, whatever its names', () => {
    const untrusted = verdict('*.quay.io', { names: ['*.quay.io'], distrust: 'self-signed certificate' });
    assert.deepEqual(untrusted, {
      authentic: false,
      reason: 'the chain of the client certificate is not trusted: self-signed certificate',
    });
    assert.equal(verdict('*.quay.io', { names: ['*.quay.io'], distrust: '' }).authentic, false);
  });

  it('is refused where there is none, or it has no name', () => {
    assert.deepEqual(verdict('*.quay.io', undefined), { authentic: false, reason: 'no client certificate' });
    assert.deepEqual(verdict('*.quay.io', { names: [] }), {
      authentic: false,
      reason: 'none of the names of the client certificate is *.quay.io',
    });
  });

  it('does not repeat its names in the log', () => {
    const other = verdict('*.quay.io', { names: ['evil\n{"level":50}.example'] });
    assert.equal(other.authentic, false);
    assert.doesNotMatch(other.authentic ? '' : other.reason, /evil/);
  });

  it('is configured by a name, or a pattern of one', () => {
    for (const good of ['*.quay.io', 'quay.io', 'hooks', 'a_b.example', '*.*.example.org']) {
      assert.equal(certificateSubject.safeParse(good).success, true, good);
    }
    for (const bad of [
      '',
      ' ',
      '*',
      '*.*',
      'w*.quay.io',
      '.quay.io',
      'quay.io.',
      'CN=quay.io',
      'a b',
      'é.example',
      null,
      1,
      'a'.repeat(254),
    ]) {
      assert.equal(certificateSubject.safeParse(bad).success, false, String(bad));
    }
  });
});

function fits(subject: string, name: string): boolean {
  return verdict(subject, { names: [name] }).authentic;
}

function verdict(subject: string, certificate: ClientCertificate | undefined): Authenticity {
  const head = { headers: {}, query: new URLSearchParams(), address: '192.0.2.1' };
  const found = byClientCertificate(subject)({ ...head, ...(certificate !== undefined && { certificate }) }, () =>
    assert.fail('expected no body to be read'),
  );
  assert.ok(!(found instanceof Promise));
  return found;
}
