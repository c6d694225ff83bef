/** The JSON objects of a stream in which Docker writes one a line: pull progress, events. What is no object is left out. */
export async function* jsonLines(stream: NodeJS.ReadableStream): AsyncGenerator<Readonly<Record<string, unknown>>> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const lines = (rest + (typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true }))).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield* parse(line);
  }
  yield* parse(rest);
}

function* parse(line: string): Generator<Readonly<Record<string, unknown>>> {
  if (line.trim() === '') return;
  const value: unknown = JSON.parse(line);
  if (typeof value === 'object' && value !== null) yield Object.fromEntries(Object.entries(value));
}
