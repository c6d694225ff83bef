import { Refusal } from '../domain/failures.ts';
import { mostPlaces } from '../domain/manifest-edit/index.ts';
import type { InRepository } from '../domain/manifest-edit/location.ts';
import type { ImageIdentity, ManifestValues } from '../domain/outcomes.ts';
import { type ChangedFile, type ChangePlan, filesOf } from '../domain/plan.ts';
import { editManifest, manifestSays, restoreManifest } from '../platform/manifest-editor/index.ts';

/** What the rules of `domain/manifest-edit` make of all files of a change together. */

/** Of each file, in the order of `filesOf`. */
export type Texts = readonly string[];

/** @throws Refusal for the first file that cannot be edited */
export async function editFiles(
  texts: Texts,
  change: ChangePlan,
  image: ImageIdentity,
): Promise<{ texts: Texts; values: ManifestValues }> {
  const edits = await each(texts, change, (text, file) => editManifest(text, file, image));
  const paths = filesOf(change).map(({ file }) => file);
  const twice = paths.find((path, index) => paths.indexOf(path) !== index);
  if (twice !== undefined)
    throw new Refusal('EditRefused', `change.files names ${twice} twice; name it once, with all of its places`);
  const values = joined(edits);
  if (values.before.length <= mostPlaces) return { texts: edits.map(({ text }) => text), values };
  throw new Refusal(
    'EditRefused',
    `the change has ${values.before.length} places in ${texts.length} files, expected at most ${mostPlaces}; let services of their own have some of the files`,
  );
}

export type FilesRestored =
  | { readonly kind: 'restored'; readonly texts: Texts; readonly values: ManifestValues }
  /** All places say it already. */
  | { readonly kind: 'unchanged' }
  /** Somebody has changed the places of a file since. */
  | { readonly kind: 'moved-on'; readonly file: string; readonly found: string; readonly cause?: Refusal };

/** Puts back what the places said before an edit; of no file, if that cannot be done in all of them. */
export async function restoreFiles(
  texts: Texts,
  change: ChangePlan,
  image: InRepository,
  values: ManifestValues,
): Promise<FilesRestored> {
  const parts = partsOf(values);
  const files = await each(texts, change, (text, file, index) =>
    restoreFile(text, file, image, parts[index] ?? { before: [], after: [] }),
  );
  const restored = [];
  for (const file of files) {
    if (file.kind === 'moved-on') return file;
    restored.push(file);
  }
  if (restored.every(({ kind }) => kind === 'unchanged')) return { kind: 'unchanged' };
  return { kind: 'restored', texts: restored.map(({ text }) => text), values: joined(restored) };
}

async function restoreFile(text: string, change: ChangedFile, image: InRepository, values: ManifestValues) {
  const { file } = change;
  const movedOn = { kind: 'moved-on', file } as const;
  try {
    const restored = await restoreManifest(text, change, image, values);
    if (restored.kind === 'changed') return { ...movedOn, found: `${restored.place} says '${restored.says}'` };
    if (restored.kind === 'restored') return restored;
    const { before, written } = values;
    return { ...restored, text, before, after: before, ...(written && { written: { ...written, after: written.before } }) };
  } catch (cause) {
    if (cause instanceof Refusal) return { ...movedOn, found: cause.message, cause };
    throw cause;
  }
}

/** Whether all places say what they said after an edit, or before it. @throws Refusal if a file has them no more */
export async function filesSay(texts: Texts, change: ChangePlan, image: InRepository, values: ManifestValues): Promise<boolean> {
  const parts = partsOf(values);
  const said = await each(texts, change, (text, file, index) => manifestSays(text, file, image, parts[index]?.after ?? []));
  return said.every(Boolean);
}

/** The values of one file of a change. */
export function partsOf({ before, after, written, perFile = [before.length] }: ManifestValues): ManifestValues[] {
  let end = 0;
  return perFile.map((count) => {
    const start = end;
    end += count;
    const cut = (values: readonly string[]) => values.slice(start, end);
    const raw = written && { written: { before: cut(written.before), after: cut(written.after) } };
    return { before: cut(before), after: cut(after), ...raw };
  });
}

/** One after the other: a large file takes memory, and as much of a processor as there is. */
async function each<Result>(
  texts: Texts,
  change: ChangePlan,
  act: (text: string, file: ChangedFile, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (const [index, file] of filesOf(change).entries()) results.push(await act(texts[index] ?? '', file, index));
  return results;
}

function joined(parts: readonly ManifestValues[]): ManifestValues {
  const written = parts.map(({ before, after, written = { before, after } }) => written);
  return {
    before: parts.flatMap(({ before }) => before),
    after: parts.flatMap(({ after }) => after),
    ...(parts.some(({ written }) => written !== undefined) && {
      written: { before: written.flatMap(({ before }) => before), after: written.flatMap(({ after }) => after) },
    }),
    ...(parts.length > 1 && { perFile: parts.map(({ before }) => before.length) }),
  };
}
