/** Files of a deployment repository that somebody wrote to keep whoever reads them busy, each of about as many characters as asked. */
export interface HostileManifest {
  readonly what: string;
  readonly file: 'compose' | 'marker' | 'bare marker' | 'env' | 'path' | 'images';
  readonly text: string;
}

const web = 'services:\n  web:\n    image: ghcr.io/team/app:v1\n';

/** Maps that are merged from maps, `<<: [*x, *x]`, so that each level doubles the ways down. */
export function nestedMerges(levels: number): string {
  const maps = Array.from({ length: levels }, (_, level) => `x${level + 1}: &x${level + 1}\n  <<: [*x${level}, *x${level}]\n`);
  return `x0: &x0 { k: v }\n${maps.join('')}services:\n  web:\n    <<: *x${levels}\n    restart: always\n`;
}

export function manyKeys(count: number): string {
  return `${web}x:\n${Array.from({ length: count }, (_, index) => `  k${index}: 1\n`).join('')}`;
}

/** For whoever looks for an image in a file as a whole. */
function imagesOf(length: number): Record<string, string> {
  const each = (count: number, line: (index: number) => string) =>
    Array.from({ length: Math.floor(count) }, (_, index) => line(index)).join('');
  const application = 'apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec:\n';
  return {
    'merges that name images': `x0: &x0 {image: a}\n${each(length / 50, (index) => `x${index + 1}: &x${index + 1}\n  <<: [*x${index}]\n  k${index}image: a\n`)}`,
    'images in a map': each(length / 16, (index) => `k${index}image: a\n`),
    'sources of an Application': `${application}  sources:\n${each(length / 50, () => '  - helm: {parameters: [{name: a, value: b}]}\n')}`,
    'texts of values': `${application}  sources:\n${each(length / 42, () => '  - helm:\n      values: |\n        a: 1\n')}`,
    'parameters of an Application': `${application}  source:\n    helm:\n      parameters:\n${each(length / 42, (index) => `      - {name: a.k${index}image, value: b}\n`)}`,
    'entries of a kustomization': `kind: Kustomization\nimages:\n${each(length / 12, () => '- name: a\n')}`,
    'entries of one image': `kind: Kustomization\nimages:\n${each(length / 25, () => '- name: ghcr.io/team/app\n')}`,
    'spaces after an entry': `kind: Kustomization\nimages:\n- name: a${' '.repeat(length - 60)}\n`,
    'variables in an image': `image: "${':$'.repeat(length / 2 - 10)}"`,
  };
}

export function hostileManifests(length: number): HostileManifest[] {
  const full = (unit: string) => unit.repeat(Math.floor(length / unit.length));
  const under = (value: string) => `${web}x: ${value}\n`;
  const compose = {
    'nested merges': nestedMerges(Math.floor(length / 32)),
    'a long list of merges': `a: &a {k: v}\nservices:\n  web:\n    <<: [${full('*a,')}*a]\n`,
    'many keys': manyKeys(Math.floor(length / 11)),
    'many keys on a line': under(`{${Array.from({ length: length / 9 }, (_, index) => `k${index}: 1`).join(',')}}`),
    'a list': `${web}x:\n${full('  - a\n')}`,
    'lists in a list': under(`[${full('[a],')}]`),
    'pairs in a list': under(`[${full('a: b,')}]`),
    documents: full('---\n') + web,
    comments: full('#\n') + web,
    'empty lines': full('\n') + web,
    'carriage returns': full('\r') + web,
    spaces: under(`${full(' ')}y`),
    directives: `${full('%A B\n')}---\n${web}`,
    tags: under(full('!a ')),
    anchors: under(full('&a ')),
    aliases: `${web}x: &a b\ny: [${full('*a,')}]\n`,
    'a quoted text without end': under(`"${full('a\n')}`),
    'a quoted text of many lines': under(`"${full('a\n   ')}"`),
    'a plain text of many lines': under(full('a\n   ')),
    'a folded text': `${web}x: >\n${full('  a\n\n')}`,
    colons: under(full(': ')),
    'keys that are repeated': `${web}x:\n${full('  k: a\n')}`,
    'question marks': web + full('? a\n'),
    errors: full('}\n'),
    tabs: full('\t- a\n'),
    digits: under(full('9')),
  };
  const markers = {
    'marked lines': full('# landfall: a\n'),
    'comments in a comment': `${full('//landfall:')} x`,
    'number signs': full('# '),
    slashes: full('/'),
    'a marked line without end': `${full('a ')}# landfall: web`,
    'the same mark again and again': full('ghcr.io/team/app:1 # landfall: web\n'),
  };
  const env = {
    'spaces in a value': `WEB=x${full(' ')}y`,
    'a value without end': `WEB="${full('a')}`,
    backslashes: `WEB="${full('\\')}`,
    quotes: full('A="\n'),
    'the same key again and again': full('WEB=a\n'),
    'number signs': `WEB=a${full(' #')}`,
  };
  const brackets = `${']'.repeat(Math.min(length, 4000))}x 1 # landfall: web\n`;
  return [
    ...Object.entries(compose).map(([what, text]) => ({ what, file: 'compose' as const, text })),
    ...Object.entries(markers).map(([what, text]) => ({ what, file: 'marker' as const, text })),
    { what: 'brackets', file: 'bare marker', text: full(brackets) },
    ...Object.entries(env).map(([what, text]) => ({ what, file: 'env' as const, text })),
    { what: 'items', file: 'path', text: `a:\n${full('  - {k: w}\n')}` },
    ...Object.entries(imagesOf(length)).map(([what, text]) => ({ what, file: 'images' as const, text })),
  ];
}
