import type { z } from 'zod';
import type { Complaint, Path } from '../settings/problem.ts';

type Issue = z.core.$ZodIssue;

/** The schema's issues as complaints: one per unknown key, and for alternatives those of the one that was meant. */
export function complaintsOf(issues: readonly Issue[], prefix: Path = []): Complaint[] {
  return issues.flatMap((issue) => {
    const path = [...prefix, ...issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))];
    switch (issue.code) {
      case 'unrecognized_keys':
        return unknownKeys(issue, path);
      case 'invalid_union':
        return union(issue, path);
      case 'invalid_key':
        return [{ path, message: issue.issues[0]?.message ?? issue.message }];
      default:
        return [{ path, message: issue.message }];
    }
  });
}

/** `map` words each unknown key in a line of its own. */
function unknownKeys(issue: z.core.$ZodIssueUnrecognizedKeys, path: Path): Complaint[] {
  const lines = issue.message.split('\n');
  return issue.keys.map((key, index) => ({ path: [...path, key], message: lines[index] ?? issue.message }));
}

/** Somebody who wrote a map meant the map; where the value fits no alternative at all, the union's own words name them. */
function union(issue: z.core.$ZodIssueInvalidUnion, path: Path): Complaint[] {
  const meant = issue.errors
    .filter((alternative) => alternative.length > 0 && !alternative.some(isOtherType))
    .sort((a, b) => a.length - b.length)[0];
  return meant === undefined ? [{ path, message: issue.message }] : complaintsOf(meant, path);
}

function isOtherType(issue: Issue): boolean {
  return issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value');
}
