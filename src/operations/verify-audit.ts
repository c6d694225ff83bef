import { chainHashes } from '../config/chain-hashes.ts';
import type { Configuration } from '../config/configuration.ts';
import { auditFilesOf, decisionFileOf } from '../config/roles.ts';
import { type ChainHash, type ChainVerdict, emptyChain, nextVerdict } from '../domain/decision-chain.ts';
import type { Environment } from '../domain/environment.ts';
import { linesOf, type OpenFile, openAll } from './audit-files.ts';
import { NotFound } from './errors.ts';

/** What became of one log of decisions. */
export interface VerifiedAudit extends ChainVerdict {
  /** The newest file. */
  readonly file: string;
  /** Where the first line is that does not fit: the file, and the number of its line. */
  readonly at?: string;
}

/**
 * Checks the chain of each log of decisions that there is, up to the first line that does not fit.
 * @throws NotFound where there is none, Unreachable where one cannot be read
 */
export async function verifyAudit(
  configuration: Pick<Configuration, 'audit' | 'data'> & Partial<Pick<Configuration, 'directory' | 'temporal'>>,
  env: Environment,
): Promise<readonly VerifiedAudit[]> {
  const { audit } = configuration;
  const hashes = chainHashes(configuration, env);
  const verified: VerifiedAudit[] = [];
  for (const log of auditFilesOf(audit.file).map(decisionFileOf)) {
    const files = await openAll(log);
    try {
      if (files.length > 0) verified.push({ file: log, ...(await verify(files, hashes)) });
    } finally {
      await Promise.all(files.map(({ handle }) => handle.close().catch(() => undefined)));
    }
  }
  if (verified.length > 0) return verified;
  throw new NotFound(`there is no log of decisions at ${decisionFileOf(audit.file)}: nobody has decided anything here yet`);
}

async function verify(newestFirst: readonly OpenFile[], hashes: readonly ChainHash[]): Promise<Omit<VerifiedAudit, 'file'>> {
  let verdict = emptyChain;
  for (const { name, handle } of [...newestFirst].reverse()) {
    let line = 0;
    for await (const text of linesOf(name, handle)) {
      line += 1;
      if (text.trim() === '') continue;
      verdict = nextVerdict(verdict, text, hashes);
      if (verdict.problem !== undefined) return { ...verdict, at: `${name}:${line}` };
    }
  }
  return verdict;
}
