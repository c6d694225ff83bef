import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Authority {
  /** The folder that holds all of it; whoever asked for it removes it. */
  readonly folder: string;
  /** Path of the authority's own certificate, PEM. */
  readonly ca: string;
  /** A key and a certificate for `127.0.0.1` and `localhost`, or for another name; `expired`: it was valid, and is not any more. */
  issue(options?: {
    readonly name?: string;
    readonly expired?: boolean;
  }): Promise<{ readonly key: string; readonly cert: string }>;
}

/** An authority of its own, made by OpenSSL. */
export async function createAuthority(): Promise<Authority> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-authority-'));
  const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=Landfall tests');
  let issued = 0;
  return {
    folder,
    ca: join(folder, 'ca.pem'),
    async issue({ name, expired = false } = {}) {
      issued += 1;
      const file = `server-${issued}`;
      const names = name === undefined ? 'IP:127.0.0.1,DNS:localhost' : `DNS:${name}`;
      await writeFile(join(folder, `${file}.ext`), `subjectAltName=${names}\n`);
      openssl('req', ...newKey, '-keyout', `${file}.key`, '-out', `${file}.csr`, '-subj', '/CN=server');
      const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', `${file}.ext`];
      openssl('x509', '-req', '-in', `${file}.csr`, ...by, '-out', `${file}.pem`, '-days', expired ? '-1' : '1');
      const read = (ending: string) => readFile(join(folder, `${file}.${ending}`), 'utf8');
      return { key: await read('key'), cert: await read('pem') };
    },
  };
}
