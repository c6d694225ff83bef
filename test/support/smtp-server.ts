import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SMTPServer } from 'smtp-server';

export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  /** The whole message, as it came. */
  readonly raw: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly secure: boolean;
  readonly user?: string;
}

export interface MailServer {
  readonly port: number;
  /** PEM of the certificate, for `localhost`. */
  readonly ca: string;
  readonly mails: readonly Mail[];
  /** How many connections there were. */
  readonly connections: number;
  /** The next message is answered with this, at the given point of the conversation. */
  failNext(code: number, where?: 'from' | 'to' | 'data'): void;
  stop(): Promise<void>;
}

export interface MailServerOptions {
  readonly user?: string;
  readonly password?: string;
  /** TLS from the first byte. */
  readonly implicitTls?: boolean;
  /** It offers no STARTTLS. */
  readonly withoutTls?: boolean;
}

/** A real SMTP server that keeps what it gets. Where it has a user, nobody else may send. */
export async function startMailServer(options: MailServerOptions = {}): Promise<MailServer> {
  const { key, cert } = certificate();
  const mails: Mail[] = [];
  const failures: { code: number; where: string }[] = [];
  let connections = 0;
  const refuse = (where: string): Error | undefined => {
    if (failures[0]?.where !== where) return undefined;
    return Object.assign(new Error('this is how it is'), { responseCode: failures.shift()?.code ?? 500 });
  };
  const server = new SMTPServer({
    key,
    cert,
    secure: options.implicitTls ?? false,
    authOptional: options.user === undefined,
    disabledCommands: [...(options.withoutTls ? ['STARTTLS'] : []), ...(options.user === undefined ? ['AUTH'] : [])],
    allowInsecureAuth: options.withoutTls ?? false,
    disableReverseLookup: true,
    onConnect(_session, done) {
      connections += 1;
      done();
    },
    onAuth({ username, password }, _session, done) {
      if (username === options.user && password === options.password) done(null, { user: username });
      else done(Object.assign(new Error(`no such login: ${password}`), { responseCode: 535 }));
    },
    onMailFrom: (_address, _session, done) => done(refuse('from')),
    onRcptTo: (_address, _session, done) => done(refuse('to')),
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const failure = refuse('data');
        const raw = Buffer.concat(chunks).toString('utf8');
        const { mailFrom, rcptTo } = session.envelope;
        if (failure === undefined) {
          mails.push({
            from: mailFrom === false ? '' : mailFrom.address,
            to: rcptTo.map(({ address }) => address),
            raw,
            headers: headersOf(raw),
            secure: session.secure,
            ...(session.user !== undefined && { user: String(session.user) }),
          });
        }
        done(failure);
      });
    },
  });
  // Clients that go away in the middle are no failure of the server's.
  server.on('error', () => undefined);
  const listening = server.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  return {
    port: (listening.address() as AddressInfo).port,
    ca: cert,
    mails,
    get connections() {
      return connections;
    },
    failNext: (code, where = 'data') => void failures.push({ code, where }),
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** By lower-case name, unfolded. */
function headersOf(raw: string): Record<string, string> {
  const head = raw.slice(0, raw.indexOf('\r\n\r\n')).replace(/\r\n[ \t]+/g, ' ');
  return Object.fromEntries(
    head.split('\r\n').map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
}

let made: { key: string; cert: string } | undefined;

/** A certificate for `localhost` that nobody trusts by itself, made once per process. */
function certificate(): { key: string; cert: string } {
  if (made !== undefined) return made;
  const folder = mkdtempSync(join(tmpdir(), 'landfall-tls-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-days', '2'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  made = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
  rmSync(folder, { recursive: true });
  return made;
}
