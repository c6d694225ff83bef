/** Members of manifests, indexes and descriptors that decide which image is meant. */
const memberNames = [
  'schemaVersion',
  'mediaType',
  'artifactType',
  'config',
  'layers',
  'manifests',
  'fsLayers',
  'digest',
  'size',
  'platform',
  'os',
  'architecture',
  'variant',
  'os.version',
  'os.features',
  'annotations',
];
const members: ReadonlyMap<string, string> = new Map(memberNames.map((name) => [folded(name), name]));

const [openObject, closeObject, openArray, closeArray, comma, quote, backslash] = [0x7b, 0x7d, 0x5b, 0x5d, 0x2c, 0x22, 0x5c];

interface Frame {
  readonly isObject: boolean;
  /** Made for the first key: hostile manifests have a million empty objects. */
  keys?: Set<string>;
  /** Its keys are whatever somebody chose, so their case counts. */
  readonly isMap: boolean;
  expectsKey: boolean;
  lastKey: string;
}

/**
 * A key that programs read differently. Docker, containerd and Trivy take `Manifests` for `manifests`, and of two such members the last
 * one: they would see another image than we do.
 * @param text valid JSON
 * @param depth how deep to look: 1 is the outermost object
 */
export function ambiguousKey(text: string, depth: number = Number.POSITIVE_INFINITY): string | undefined {
  const outer: Frame[] = [];
  let frame: Frame = { isObject: false, isMap: false, expectsKey: false, lastKey: '' };
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charCodeAt(at);
    if (character === openObject || character === openArray) {
      outer.push(frame);
      frame = frameIn(frame, character === openObject);
    } else if (character === closeObject || character === closeArray) {
      frame = outer.pop() ?? frame;
    } else if (character === comma) {
      frame.expectsKey = frame.isObject;
    } else if (character === quote) {
      const end = endOfString(text, at);
      if (frame.expectsKey) {
        const key = keyOf(text.slice(at, end + 1));
        if (outer.length <= depth && isAmbiguous(frame, key)) return key;
        frame.expectsKey = false;
        frame.lastKey = key;
      }
      at = end;
    }
  }
  return undefined;
}

function keyOf(quoted: string): string {
  return quoted.includes('\\') ? String(JSON.parse(quoted)) : quoted.slice(1, -1);
}

function frameIn(parent: Frame, isObject: boolean): Frame {
  return { isObject, isMap: parent.lastKey === 'annotations', expectsKey: isObject, lastKey: '' };
}

/** Also takes note of the key. */
function isAmbiguous(frame: Frame, key: string): boolean {
  const name = frame.isMap ? key : folded(key);
  frame.keys ??= new Set();
  const isRepeated = frame.keys.has(name);
  frame.keys.add(name);
  return isRepeated || (!frame.isMap && (members.get(name) ?? key) !== key);
}

/** Where the string that begins at `start` has its closing quote. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== quote) at += text.charCodeAt(at) === backslash ? 2 : 1;
  return at;
}

/** As Go folds case: the long s and the Kelvin sign are letters too. */
function folded(key: string): string {
  return key.toUpperCase().toLowerCase();
}
