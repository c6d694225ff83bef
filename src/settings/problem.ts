/** One thing that is wrong with a configuration file. */
export interface ConfigurationProblem {
  /** As the caller named the file. */
  readonly file: string;
  /** From 1, as the column. */
  readonly line: number;
  readonly column: number;
  /** `services[0].change.file`; empty for the file as a whole. */
  readonly path: string;
  /** What was expected, what was found and, where it helps, what to do. One line. */
  readonly message: string;
}

export type Path = readonly (string | number)[];

/** A problem before it has its place in the file. */
export interface Complaint {
  readonly path: Path;
  readonly message: string;
}

/** Takes down what is wrong; paths count from what is being looked at. */
export type Complain = (path: Path, message: string) => void;

/** Complaints of a part, with the path to it put before theirs. */
export function within(complain: Complain, ...part: Path): Complain {
  return (path, message) => complain([...part, ...path], message);
}

export function formatPath(path: Path): string {
  return path.map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index === 0 ? '' : '.'}${part}`)).join('');
}

/** `landfall.yaml:12: services[0].change.file: expected …` */
export function formatProblem({ file, line, path, message }: ConfigurationProblem): string {
  return `${file}:${line}: ${path === '' ? '' : `${path}: `}${message}`;
}
