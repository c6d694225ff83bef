/** What mocha's own command is made of, and its types do not tell. */
declare module 'mocha/lib/cli/options.cjs' {
  export function loadOptions(args: string[]): import('mocha').MochaOptions & {
    /** Files, folders and patterns. */
    _: string[];
    'node-option'?: string[];
    require?: string[];
  };
}

declare module 'mocha/lib/cli/run-helpers.cjs' {
  export function handleRequires(modules?: string[]): Promise<object>;
}

declare module 'mocha/lib/cli/lookup-files.js' {
  export function lookupFiles(pattern: string, extensions: string[]): string[];
}
