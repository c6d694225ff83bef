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

/** What Landfall needs to know of a namespace, and how it is reached from a shell. */
export interface NamespaceAddress {
  readonly address: string;
  readonly namespace: string;
}

/** `temporal.api.enums.v1.IndexedValueType`, with the spelling that the `temporal` command uses. */
const indexedValueTypes: Readonly<Record<SearchAttributeType, { readonly value: number; readonly spelling: string }>> = {
  TEXT: { value: 1, spelling: 'Text' },
  KEYWORD: { value: 2, spelling: 'Keyword' },
  INT: { value: 3, spelling: 'Int' },
  DOUBLE: { value: 4, spelling: 'Double' },
  BOOL: { value: 5, spelling: 'Bool' },
  DATETIME: { value: 6, spelling: 'Datetime' },
  KEYWORD_LIST: { value: 7, spelling: 'KeywordList' },
};

const retentionMs = 720 * 60 * 60 * 1000;
const deadlineMs = 10_000;

/**
 * Makes a namespace of our own (the embedded server's) ready: closed workflows are kept for 720 h, and every wanted search attribute
 * exists. Repeating it changes nothing.
 *
 * It goes through the API because the dev server ignores `--search-attribute` on an existing file, and keeps closed workflows for 24 h.
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
      searchAttributes: Object.fromEntries(problems.map(({ name, type }) => [name, indexedValueTypes[type].value])),
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
    if (found === indexedValueTypes[attribute.type].value) return [];
    const spelling = Object.values(indexedValueTypes).find(({ value }) => value === found)?.spelling ?? `type ${found}`;
    return [{ ...attribute, found: spelling }];
  });
}

/**
 * The command that adds what is missing, ready to be pasted into a shell; undefined if nothing can be added (nothing is missing, or
 * what exists has another type).
 */
export function searchAttributeCommand(problems: readonly AttributeProblem[], at: NamespaceAddress): string | undefined {
  const absent = problems.filter(({ found }) => found === undefined);
  if (absent.length === 0) return undefined;
  const columns = absent.map(({ name, type }) => `--name ${name} --type ${indexedValueTypes[type].spelling}`);
  return [
    `temporal operator search-attribute create --address ${at.address} --namespace ${at.namespace}`,
    ...columns.map((column) => `  ${column}`),
  ].join(' \\\n');
}

/** One sentence for an operator. */
export function describeProblem({ name, type, found }: AttributeProblem): string {
  const expected = `expected search attribute ${name} of type ${indexedValueTypes[type].spelling}`;
  return found === undefined
    ? `${expected}, found none`
    : `${expected}, found it with type ${found}: remove it with 'temporal operator search-attribute remove --name ${name}' or use another namespace`;
}
