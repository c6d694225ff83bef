import type { Connection } from '@temporalio/client';
import type { SearchAttributeType } from '@temporalio/common';
import { msToTs } from '@temporalio/common/lib/time.js';

/** A column of Temporal's visibility store that Landfall writes. */
export interface WantedAttribute {
  readonly name: string;
  readonly type: SearchAttributeType;
}

/** A wanted column that is not there, or is there with another type. */
export interface AttributeProblem extends WantedAttribute {
  /** The type it has in this namespace; absent if the column does not exist. */
  readonly found?: string;
}

/** In the order of `temporal.api.enums.v1.IndexedValueType`, which counts from 1. */
const types: readonly SearchAttributeType[] = ['TEXT', 'KEYWORD', 'INT', 'DOUBLE', 'BOOL', 'DATETIME', 'KEYWORD_LIST'];
/** As the `temporal` command spells it: `KeywordList`. */
const spelled = (type: SearchAttributeType) => type.replace(/_?([A-Z])([A-Z]*)/g, (_, first, rest) => first + rest.toLowerCase());

const retentionMs = 720 * 60 * 60 * 1000;
const deadlineMs = 10_000;

/**
 * Makes our own namespace ready, any number of times: closed workflows are kept for 720 h, and every wanted search attribute exists. By the
 * API, because the dev server ignores `--search-attribute` on an existing file, and keeps closed workflows for 24 h.
 * @throws where an attribute exists with another type, which only an operator can undo
 */
export async function prepareNamespace(
  connection: Connection,
  namespace: string,
  wanted: readonly WantedAttribute[],
): Promise<void> {
  const problems = await missingSearchAttributes(connection, namespace, wanted);
  const clash = problems.find(({ found }) => found !== undefined);
  if (clash !== undefined) throw new Error(describeProblem(clash));
  await connection.withDeadline(Date.now() + deadlineMs, async () => {
    await connection.workflowService.updateNamespace({
      namespace,
      config: { workflowExecutionRetentionTtl: msToTs(retentionMs) },
    });
    if (problems.length === 0) return;
    await connection.operatorService.addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(problems.map(({ name, type }) => [name, types.indexOf(type) + 1])),
    });
  });
}

/** @throws where the server does not have the namespace, or cannot read what happens in it from its database */
export async function requireNamespace(connection: Connection, namespace: string): Promise<void> {
  await connection.withDeadline(Date.now() + deadlineMs, () =>
    connection.workflowService.listWorkflowExecutions({ namespace, pageSize: 1 }),
  );
}

/** The wanted search attributes that a namespace lacks, or has with another type. For somebody else's cluster: it is only read. */
export async function missingSearchAttributes(
  connection: Connection,
  namespace: string,
  wanted: readonly WantedAttribute[],
): Promise<AttributeProblem[]> {
  const { customAttributes } = await connection.withDeadline(Date.now() + deadlineMs, () =>
    connection.operatorService.listSearchAttributes({ namespace }),
  );
  return wanted.flatMap((attribute): AttributeProblem[] => {
    const found = customAttributes[attribute.name];
    if (found === undefined) return [attribute];
    const type = types[found - 1];
    if (type === attribute.type) return [];
    return [{ ...attribute, found: type === undefined ? `type ${found}` : spelled(type) }];
  });
}

/** A shell command that adds what is missing; undefined if nothing is, or what exists has another type. */
export function searchAttributeCommand(
  problems: readonly AttributeProblem[],
  { address, namespace }: { readonly address: string; readonly namespace: string },
): string | undefined {
  const absent = problems.filter(({ found }) => found === undefined);
  if (absent.length === 0) return undefined;
  const columns = absent.map(({ name, type }) => `  --name ${name} --type ${spelled(type)}`);
  const create = `temporal operator search-attribute create --address ${address} --namespace ${namespace}`;
  return [create, ...columns].join(' \\\n');
}

/** One sentence for an operator. */
export function describeProblem({ name, type, found }: AttributeProblem): string {
  const expected = `expected search attribute ${name} of type ${spelled(type)}`;
  return found === undefined
    ? `${expected}, found none`
    : `${expected}, found it with type ${found}: remove it with 'temporal operator search-attribute remove --name ${name}' or use another namespace`;
}
