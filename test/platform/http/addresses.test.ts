import assert from 'node:assert/strict';
import { type AddressKind, kindOfAddress, refuseByLooks } from '../../../src/platform/http/addresses.ts';

const addresses: Readonly<Record<AddressKind, readonly string[]>> = {
  public: [
    '1.1.1.1',
    '140.82.112.3',
    '172.15.255.255',
    '172.32.0.1',
    '100.128.0.1',
    '2606:4700::1111',
    '2a00:1450:4001::1',
    '64:ff9b::101:101',
  ],
  private: [
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    '198.18.0.1',
    '224.0.0.1',
    '255.255.255.255',
  ].concat([
    'fd12:3456::1',
    'fc00::1',
    'fec0::1',
    'ff02::1',
    '::ffff:10.0.0.1',
    '::ffff:a00:1',
    '64:ff9b::10.0.0.1',
    '2002:a00:1::1',
    '::10.0.0.1',
  ]),
  loopback: [
    '127.0.0.1',
    '127.255.255.254',
    '0.0.0.0',
    '0.1.2.3',
    '::1',
    '::',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
  ],
  'link-local': [
    '169.254.169.254',
    '169.254.170.2',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    'fe80::1',
    'fe80::1%eth0',
    'febf::1',
  ].concat([
    'fd00:ec2::254',
    'fd20:ce::254',
    '::ffff:169.254.169.254',
    '64:ff9b::a9fe:a9fe',
    '2002:a9fe:a9fe::1',
    'not an address',
    '',
  ]),
};

describe('an address', () => {
  for (const [kind, each] of Object.entries(addresses)) {
    it(`is ${kind}, however it is written: ${each.join(' ')}`, () => {
      for (const address of each) assert.equal(kindOfAddress(address), kind, address);
    });
  }

  it('is refused by its looks to whoever is not there himself, in every spelling that URLs know', () => {
    const hosts = [
      '127.0.0.1',
      '2130706433',
      '0x7f.1',
      '0177.0.0.1',
      '127.1',
      '[::1]',
      '[::ffff:7f00:1]',
      'localhost',
      'a.LOCALHOST',
      'localhost.',
    ];
    for (const host of hosts) {
      const { hostname } = new URL(`http://${host}/`);
      assert.throws(() => refuseByLooks(hostname, 'public'), { name: 'AddressRefused', message: /a loopback address/ }, host);
      assert.throws(() => refuseByLooks(hostname, 'private'), { name: 'AddressRefused' }, host);
      refuseByLooks(hostname, 'loopback');
    }
    for (const from of ['public', 'private', 'loopback'] as const) {
      assert.throws(() => refuseByLooks('169.254.169.254', from), { name: 'AddressRefused' }, from);
      refuseByLooks('example.org', from);
    }
  });
});
