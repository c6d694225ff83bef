import { memberOf } from '../domain/json.ts';
import { isNative } from './builders/platforms.ts';
import type { Statement } from './layout.ts';

/** The provenance that BuildKit writes, of SLSA's two versions: both tell each step of the build, with the platform that it ran on. */
const provenanceType = /^https:\/\/slsa\.dev\/provenance\/v/;

/**
 * Programs that were run for a platform which the builder's machine does not run itself.
 * @returns what was run, for people: `/bin/sh -c npm ci`; each once; undefined where nothing tells what was run
 */
export function emulatedIn(statements: readonly Statement[], native: readonly string[]): string[] | undefined {
  const provenance = statements.find(({ predicateType }) => provenanceType.test(predicateType));
  const steps = provenance && stepsOf(provenance.predicate);
  if (!Array.isArray(steps)) return undefined;
  const emulated = steps.flatMap((step: unknown) => {
    const operation = memberOf(step, 'op');
    const run = memberOf(memberOf(operation, 'Op'), 'exec') ?? memberOf(operation, 'exec');
    const platform = platformOf(memberOf(operation, 'platform'));
    return run === undefined || platform === undefined || isNative(platform, native) ? [] : [commandOf(run)];
  });
  return [...new Set(emulated)];
}

function stepsOf(predicate: unknown): unknown {
  const inner = memberOf(memberOf(predicate, 'buildDefinition'), 'internalParameters');
  return memberOf(memberOf(inner, 'buildConfig') ?? memberOf(predicate, 'buildConfig'), 'llbDefinition');
}

function platformOf(found: unknown): string | undefined {
  const [os, architecture, variant] = ['OS', 'Architecture', 'Variant'].map(
    (name) => memberOf(found, name) ?? memberOf(found, name.toLowerCase()),
  );
  if (typeof os !== 'string' || typeof architecture !== 'string') return undefined;
  return [os, architecture, ...(typeof variant === 'string' && variant !== '' ? [variant] : [])].join('/');
}

function commandOf(run: unknown): string {
  const words = memberOf(memberOf(run, 'meta'), 'args');
  return Array.isArray(words) ? words.join(' ').replace(/\s+/g, ' ').slice(0, 120) : 'a program';
}
