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

interface Frame {
  /** Undefined for an array. */
  readonly keys: Set<string> | undefined;
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
  const frames: Frame[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    const frame = frames.at(-1);
    if (character === '{' || character === '[') frames.push(frameIn(frame, character === '{'));
    else if (character === '}' || character === ']') frames.pop();
    else if (character === ',' && frame?.keys !== undefined) frame.expectsKey = true;
    else if (character === '"') {
      const end = endOfString(text, at);
      if (frame?.expectsKey) {
        const key = String(JSON.parse(text.slice(at, end + 1)));
        if (frames.length <= depth && isAmbiguous(frame, key)) return key;
        frame.expectsKey = false;
        frame.lastKey = key;
      }
      at = end;
    }
  }
  return undefined;
}

function frameIn(parent: Frame | undefined, isObject: boolean): Frame {
  const keys = isObject ? new Set<string>() : undefined;
  return { keys, isMap: parent?.lastKey === 'annotations', expectsKey: isObject, lastKey: '' };
}

/** Also takes note of the key. */
function isAmbiguous({ keys, isMap }: Frame, key: string): boolean {
  const name = isMap ? key : folded(key);
  const isRepeated = keys?.has(name) === true;
  keys?.add(name);
  return isRepeated || (!isMap && (members.get(name) ?? key) !== key);
}

/** Where the string that begins at `start` has its closing quote. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}

/** As Go folds case: the long s and the Kelvin sign are letters too. */
function folded(key: string): string {
  return key.toUpperCase().toLowerCase();
}
