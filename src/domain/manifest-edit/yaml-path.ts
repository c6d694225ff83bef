import { editRefused, listed, targetNotFound, type ValueLocation } from './location.ts';
import { findValue, parseYaml, type YamlStep } from './yaml-file.ts';

const stepPattern = /\["([^"]+)"\]|\[(\d{1,6})\]|\[([^\]="]+)=(?:"([^"]*)"|([^\]"]*))\]|(?:^|\.)([^.[\]"]+)/y;

/**
 * `spec.containers[0].image`, `spec.containers[name=web].image`, `metadata.labels["app.kubernetes.io/version"]`.
 * @returns undefined for what is no path
 */
export function parseYamlPath(path: string): readonly YamlStep[] | undefined {
  const steps: YamlStep[] = [];
  stepPattern.lastIndex = 0;
  while (stepPattern.lastIndex < path.length) {
    const found = stepPattern.exec(path);
    if (!found) return undefined;
    const [, quoted, index, whereKey, quotedValue, value, plain] = found;
    if (index !== undefined) steps.push({ kind: 'index', index: Number(index) });
    else if (whereKey !== undefined) steps.push({ kind: 'where', key: whereKey, value: quotedValue ?? value ?? '' });
    else steps.push({ kind: 'key', key: quoted ?? plain ?? '' });
  }
  return steps.length === 0 ? undefined : steps;
}

/** What is wrong with a path, for the author of the configuration; undefined if nothing is. */
export function problemOfPath(path: string): string | undefined {
  if (parseYamlPath(path) !== undefined) return undefined;
  return `expected a path such as spec.template.spec.containers[name=web].image, found '${path}'`;
}

/** The one value that a path leads to, in whichever document of the file. */
export function findByPath(text: string, file: string, path: string): ValueLocation[] {
  const steps = parseYamlPath(path);
  if (steps === undefined) throw editRefused(file, `${problemOfPath(path)}; correct the change of the service`);
  const found = parseYaml(text, file).map((document) => findValue(document, steps));
  const there = found.filter((one) => one.kind !== 'missing');
  if (there.length > 1) {
    throw editRefused(
      file,
      `${path} is there in ${there.length} documents, expected one; mark the line with a comment '# landfall: NAME' and let the change name that`,
    );
  }
  const [one] = there;
  if (one?.kind === 'place') return [one.place];
  if (one?.kind === 'refused') throw editRefused(file, one.why);
  const closest = found.filter((missing) => missing.kind === 'missing').sort((a, b) => b.depth - a.depth)[0];
  throw targetNotFound(file, path, `where the path ends, it has: ${listed(closest?.there ?? [])}`);
}
