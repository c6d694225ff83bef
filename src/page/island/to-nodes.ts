import { type ComponentChild, h } from 'preact';

/**
 * A piece of a document as Preact's nodes, so that Preact changes only what differs from what it showed before: what somebody has opened,
 * typed, chosen or has the focus on stays as it is. Rows, forms and sections have a key, by which they are found again where others come before
 * them; the key of an option is what it stands for.
 */
export function toNodes(element: ParentNode): ComponentChild[] {
  return [...element.childNodes].map(toNode);
}

function toNode(node: ChildNode): ComponentChild {
  if (node instanceof Text) return node.data;
  if (!(node instanceof Element)) return null;
  const attributes: Record<string, string | boolean> = {};
  for (const { name, value } of node.attributes) {
    // `required=""` is how HTML writes true.
    const isTrue = value === '' && typeof Reflect.get(node, name) === 'boolean';
    // The server sends no handlers; what would be one is not made one here.
    if (!name.startsWith('on')) attributes[name] = isTrue || value;
  }
  const { 'data-key': said, value, ...others } = attributes;
  const key = node instanceof HTMLOptionElement ? node.value : said;
  const isField = node instanceof HTMLInputElement && node.type !== 'hidden';
  // What was typed into a field is not what the server knows.
  const shown = isField ? others : { ...others, ...(value !== undefined && { value }) };
  return h(node.localName, { ...shown, ...(key !== undefined && { key }) }, toNodes(node));
}
