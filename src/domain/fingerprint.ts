/** Two times 32 bits of FNV-1a: tells two texts apart that nobody has made alike on purpose. For that there is no other hash within a workflow. */
export function fingerprintOf(value: object): string {
  const text = JSON.stringify(value);
  return [0x811c9dc5, 0x01000193].map((start) => fnv(text, start).toString(16).padStart(8, '0')).join('');
}

function fnv(text: string, start: number): number {
  let hash = start;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}
