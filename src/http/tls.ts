import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import type { Server } from 'node:https';
import { join } from 'node:path';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import type { Log } from '../domain/log.ts';
import { type ClientTrust, certificatesIn, complainOnce } from './client-trust.ts';

/** Absolute paths; a folder has one `.pem` and one `.key`. */
export type TlsFiles = { readonly cert: string; readonly key: string } | { readonly folder: string };

export interface TlsSettings {
  readonly files: TlsFiles;
  /** Whose client certificates are trusted; absent: none is asked for. */
  readonly trust?: ClientTrust;
  /** How often the files are looked at, in milliseconds. Default: 2000. */
  readonly lookEveryMs?: number;
}

/**
 * Gives a server its certificate, and the new one when the files change. Contents are compared, not times, so it does not matter
 * whether files are written in place, renamed (certbot) or reached by links that are swapped (Kubernetes). What is half-written or
 * does not belong together changes nothing until it does.
 */
export function keepTls(server: Server, settings: TlsSettings, log: Log) {
  const { lookEveryMs = 2_000 } = settings;
  const complain = complainOnce(log, 'the certificate of the webhooks was not replaced: the files cannot be used as they are');
  let used: TlsMaterial | undefined;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  const load = async (): Promise<void> => {
    const found = await readMaterial(settings);
    if (isDeepStrictEqual(used, found)) return;
    const { validTo, isExpired } = requireUsable(found);
    server.setSecureContext(contextOf(found));
    log.info({ validTo }, used === undefined ? 'webhooks are taken over TLS' : 'the certificate of the webhooks was replaced');
    if (isExpired) log.warn({ validTo }, 'the certificate of the webhooks has expired: senders will refuse it; renew it');
    used = found;
  };
  const look = async (): Promise<void> => {
    try {
      await load();
      complain();
    } catch (error) {
      complain(error);
    }
    schedule();
  };
  const schedule = (): void => {
    if (!stopped) timer = setTimeout(() => void look(), lookEveryMs).unref();
  };
  return {
    /** @throws Error naming the setting, if there is no usable certificate */
    start: async (): Promise<void> => {
      await load();
      schedule();
    },
    stop: (): void => {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

type TlsMaterial = Awaited<ReturnType<typeof readMaterial>>;

async function readMaterial({ files, trust }: TlsSettings) {
  const { cert, key } = 'folder' in files ? await filesIn(files.folder) : files;
  return { key: await readText(key, 'private key'), cert: await readText(cert, 'certificate'), ca: trust?.pem() };
}

/** The certificate and the key of a folder. Links such as Kubernetes' `..data` and an authority that cert-manager adds are passed over. */
async function filesIn(folder: string): Promise<{ readonly cert: string; readonly key: string }> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    throw new Error(
      `listen.tls: expected a folder with a certificate and its key, cannot read ${folder} (${error.code}); mount it, or name files`,
    );
  });
  const listed = names.filter((name) => !name.startsWith('.') && !/^ca\.(?:pem|crt)$/i.test(name));
  const certs = listed.filter((name) => /\.(?:pem|crt)$/i.test(name));
  const keys = listed.filter((name) => /\.key$/i.test(name));
  const [cert] = certs;
  const [key] = keys;
  if (cert === undefined || key === undefined || certs.length > 1 || keys.length > 1) {
    const found = [...certs, ...keys].join(', ') || 'neither';
    throw new Error(
      `listen.tls: expected exactly one certificate (.pem or .crt) and one key (.key) in ${folder}, found ${found}; name them as {cert, key}`,
    );
  }
  return { cert: join(folder, cert), key: join(folder, key) };
}

async function readText(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`listen.tls: expected a ${what} (PEM), cannot read ${file} (${code}); check the path and who may read it`, {
      cause: error,
    });
  }
}

/** @throws Error saying which of the two is the wrong one */
function requireUsable(material: TlsMaterial) {
  const [leaf] = certificatesIn(material.cert);
  if (leaf === undefined) throw new Error('listen.tls: expected a certificate in PEM, found none in its file');
  if (!leaf.checkPrivateKey(privateKeyIn(material.key))) {
    throw new Error(
      "listen.tls: expected the private key of the certificate, found another one; the server's own certificate comes first in its file",
    );
  }
  try {
    createSecureContext(contextOf(material));
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    throw new Error(`listen.tls: OpenSSL cannot use this certificate and key (${code})`, { cause: error });
  }
  return { validTo: new Date(leaf.validTo).toISOString(), isExpired: Date.parse(leaf.validTo) < Date.now() };
}

function privateKeyIn(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw new Error('listen.tls: expected a private key in PEM that needs no passphrase, found none in its file', {
      cause: error,
    });
  }
}

function contextOf({ cert, key, ca }: TlsMaterial): SecureContextOptions {
  return { cert, key, minVersion: 'TLSv1.2', ...(ca !== undefined && { ca }) };
}
