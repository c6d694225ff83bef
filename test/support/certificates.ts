import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Issued {
  /** PEM. */
  readonly key: string;
  readonly cert: string;
}

export interface CertificateOptions {
  /** A DNS name in place of `127.0.0.1` and `localhost`. */
  readonly name?: string;
  /** The subject alternative names in OpenSSL's words, in place of all that. */
  readonly alternatives?: string;
  /** Default: `server`. */
  readonly commonName?: string;
  /** It was valid, and is not any more. */
  readonly expired?: boolean;
  /** More lines of OpenSSL's configuration, such as `extendedKeyUsage=clientAuth`. */
  readonly extensions?: readonly string[];
  /** Default: an elliptic curve key. */
  readonly newKey?: readonly string[];
  /** Default: sha256. */
  readonly digest?: string;
}

export interface Authority {
  /** The folder that holds all of it; whoever asked for it removes it. */
  readonly folder: string;
  /** Path of the authority's own certificate, PEM. */
  readonly ca: string;
  /** A key and a certificate for `127.0.0.1` and `localhost`, or for another name. */
  issue(options?: CertificateOptions): Promise<Issued>;
  /** An authority that this one has issued. `ca` is its own certificate. */
  issueAuthority(extensions?: readonly string[], options?: Pick<CertificateOptions, 'expired'>): Promise<Authority>;
}

const authoritySubject = '/CN=Landfall tests';
const ellipticKey = ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];

/** An authority of its own, made by OpenSSL. @param folder absent: a new one */
export async function createAuthority(where?: string): Promise<Authority> {
  const folder = where ?? (await mkdtemp(join(tmpdir(), 'landfall-authority-')));
  const newKey = ['-newkey', ...ellipticKey, '-nodes'];
  openssl(folder, 'req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', authoritySubject);
  return authorityIn(folder, 'ca');
}

/** Issued by nobody but itself. */
export async function selfSigned(folder: string, name: string): Promise<Issued> {
  const names = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`];
  openssl(
    folder,
    'req',
    '-x509',
    '-newkey',
    ...ellipticKey,
    '-nodes',
    '-keyout',
    'self.key',
    '-out',
    'self.pem',
    '-days',
    '2',
    ...names,
  );
  return { key: await readFile(join(folder, 'self.key'), 'utf8'), cert: await readFile(join(folder, 'self.pem'), 'utf8') };
}

/** Other certificates for the name and key of an authority that was created: each has issued all of them, by its looks. */
export async function alikeTo({ folder }: Authority, count: number): Promise<readonly string[]> {
  return await Promise.all(
    Array.from({ length: count }, async (_, at) => {
      openssl(folder, 'req', '-x509', '-key', 'ca.key', '-out', `alike-${at}.pem`, '-days', '2', '-subj', authoritySubject);
      return await readFile(join(folder, `alike-${at}.pem`), 'utf8');
    }),
  );
}

function authorityIn(folder: string, own: string): Authority {
  let issued = 0;
  const sign = async (
    subject: string,
    lines: readonly string[],
    { expired, newKey, digest }: CertificateOptions,
  ): Promise<string> => {
    issued += 1;
    const file = `${own}-${issued}`;
    await writeFile(join(folder, `${file}.ext`), `${lines.join('\n')}\n`);
    const request = ['req', '-newkey', ...(newKey ?? ellipticKey), '-nodes', '-keyout', `${file}.key`, '-out', `${file}.csr`];
    openssl(folder, ...request, '-subj', `/CN=${subject}`);
    const by = [
      '-CA',
      `${own}.pem`,
      '-CAkey',
      `${own}.key`,
      '-CAcreateserial',
      '-extfile',
      `${file}.ext`,
      `-${digest ?? 'sha256'}`,
    ];
    openssl(folder, 'x509', '-req', '-in', `${file}.csr`, ...by, '-out', `${file}.pem`, '-days', expired ? '-1' : '1');
    return file;
  };
  return {
    folder,
    ca: join(folder, `${own}.pem`),
    async issue(options = {}) {
      const { name, commonName = 'server', extensions = [] } = options;
      const { alternatives = name === undefined ? 'IP:127.0.0.1,DNS:localhost' : `DNS:${name}` } = options;
      const file = await sign(commonName, [`subjectAltName=${alternatives}`, ...extensions], options);
      return {
        key: await readFile(join(folder, `${file}.key`), 'utf8'),
        cert: await readFile(join(folder, `${file}.pem`), 'utf8'),
      };
    },
    async issueAuthority(extensions = ['basicConstraints=critical,CA:true', 'keyUsage=critical,keyCertSign'], options = {}) {
      return authorityIn(folder, await sign(`Issued by ${own}`, extensions, options));
    },
  };
}

function openssl(folder: string, ...words: string[]): void {
  execFileSync('openssl', words, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
}
