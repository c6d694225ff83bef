/**
 * What the page uses of Preact, for the compiler. Preact's own types bring those of a browser along, as globals of the whole service, where
 * Node's differ; `tsconfig.json` leads here in their place. The island, which does run in a browser, has Preact's own.
 */
export type ComponentChild = VNode | string | number | bigint | boolean | null | undefined | readonly ComponentChild[];
export interface VNode {
  readonly type: unknown;
  readonly props: unknown;
  readonly key: unknown;
}
export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;
export function h(type: string, attributes: Attributes | null, ...children: readonly ComponentChild[]): VNode;
export function Fragment(props: unknown): VNode;
