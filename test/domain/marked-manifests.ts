import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import type { ChangedFile } from '../../src/domain/plan.ts';

/**
 * Files before and after the image in them is changed: `⟦what it says|what it is to say⟧`, with TAG, DIGEST and HASH (a digest without its
 * algorithm) for what the image has. 40 of them are in manifests.txt, and any number is generated.
 */
export interface MarkedFile {
  readonly file: string;
  readonly repository: string;
  readonly pin?: ChangedFile['pin'];
  readonly text: string;
}

const marked = /⟦([^|⟧]*)\|([^⟧]*)⟧/g;

export function textBefore({ text }: MarkedFile): string {
  return text.replaceAll(marked, '$1');
}

export function textAfter({ text }: MarkedFile, tag: string, digest: string): string {
  const has: Readonly<Record<string, string>> = { TAG: tag, DIGEST: digest, HASH: digest.replace('sha256:', '') };
  return text.replaceAll(marked, (_, _old, wanted: string) => wanted.replaceAll(/TAG|DIGEST|HASH/g, (word) => has[word] ?? ''));
}

/** `=== name: file, repository[, pin]`, and the text. */
export const realFiles: readonly (MarkedFile & { readonly name: string })[] = readFileSync(
  new URL('./manifests.txt', import.meta.url),
  'utf8',
)
  .split(/^=== /m)
  .slice(1)
  .map((section) => {
    const parts = /^([^:]+): ([^,\n]+), ([^,\n]+)(?:, (\S+))?\n([\s\S]*)$/.exec(section) ?? [];
    const [, name = '', file = '', repository = '', pin, text = ''] = parts;
    return { name, file, repository, ...(pin !== undefined && { pin: pin as ChangedFile['pin'] }), text };
  });

const repository = 'ghcr.io/team/app';

/** How the part of a file that names the image is written. */
interface Style {
  readonly quote: string;
  /** With the blank before it. */
  readonly comment: string;
  readonly old: string;
  readonly indent: number;
}

/** `part` stands below `under`, or at the top. */
type Shape = (style: Style) => { readonly file: string; readonly under?: string; readonly part: string };

const tagOf = ({ quote, old }: Style) => `⟦${quote}${old}${quote}|${quote}TAG${quote}⟧`;
const pinOf = ({ quote, old }: Style) => `⟦${quote}${old}${quote}|${quote}TAG@DIGEST${quote}⟧`;
const wholeOf = ({ quote, old }: Style) => `⟦${quote}${repository}:${old}${quote}|${quote}${repository}:TAG@DIGEST${quote}⟧`;

function indented(lines: string, by: number): string {
  return lines.replaceAll(/^(?=.)/gm, ' '.repeat(by));
}

const valuesShapes: readonly ((style: Style) => string)[] = [
  (style) => `repository: ${repository}\ntag: ${tagOf(style)}${style.comment}\ndigest: ⟦""|"DIGEST"⟧`,
  (style) => `sha: ⟦''|'HASH'⟧\ntag: ${tagOf(style)}${style.comment}\nregistry: ghcr.io\nrepository: team/app`,
  (style) => `image: {repository: ${style.quote}${repository}${style.quote},  tag: ${pinOf(style)}}${style.comment}`,
  (style) => `image: ${wholeOf(style)}${style.comment}`,
  (style) => `sidecarImage: ${repository}${style.comment}\nsidecarImageTag: ${pinOf(style)}`,
  (style) => `- name: a\n  image: ${wholeOf(style)}${style.comment}\n- {name: b, image: ${wholeOf(style)}}`,
];

const shapes: readonly Shape[] = [
  ...valuesShapes.flatMap((values): Shape[] => [
    (style) => ({ file: 'values.yaml', part: `web:\n${indented(values(style), style.indent)}` }),
    (style) => ({
      file: 'release.yaml',
      under: 'apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nspec:\n  values:',
      part: `    web:\n${indented(values(style), 4 + style.indent)}`,
    }),
    (style) => ({
      file: 'app.yaml',
      under: 'apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec:\n  source:\n    helm:',
      part: `      values: |${style.comment}\n        web:\n${indented(values(style), 8 + style.indent)}`,
    }),
  ]),
  (style) => ({
    file: 'app.yaml',
    under: 'apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec:\n  source:\n    helm:\n      parameters:',
    part: `      - {name: image.repository, value: ${repository}}\n      - name: image.tag\n        value: ${pinOf(style)}${style.comment}`,
  }),
  (style) => ({
    file: 'app/kustomization.yaml',
    part: `images:\n${indented(`- name: ${repository}${style.comment}\n  newTag: ${tagOf(style)}${style.comment}⟦|\n  digest: DIGEST⟧`, style.indent)}`,
  }),
  (style) => ({
    file: 'kustomization.yml',
    part: `images:\n- name: redis # 7\n- {name: '${repository}', newTag: ${tagOf(style)}⟦|, digest: DIGEST⟧}${style.comment}`,
  }),
  (style) => ({
    file: 'app.yaml',
    under: 'apiVersion: v1\nkind: Pod\nspec:',
    part: `  initContainers:\n  - image: ${wholeOf(style)}${style.comment}\n    name: a\n  containers: [{name: b, image: ${wholeOf(style)}}]`,
  }),
];

const others = fc.constantFrom(
  'replicas: 2',
  'text: |\n  image: ghcr.io/team/app:v1\n\n  tag: v1',
  'folded: >-\n  ghcr.io/team/app\n  :v1',
  'list: [a,   "b" , {c: d}]',
  '# image: ghcr.io/team/app:v1',
  '\n# a comment\n',
  'anchor: &anchor {x: 1}\nalias: *anchor',
  `'quoted key': "\\u00e9"`,
  'empty:',
  'neighbour: {image: {repository: ghcr.io/team/other, tag: v1, digest: ""}}',
  'args: ["--image", ghcr.io/team/app:v1]',
);

/** The part that names the image, among other lines, whatever the style. */
export const generatedFile: fc.Arbitrary<MarkedFile> = fc
  .record({
    shape: fc.constantFrom(...shapes),
    style: fc.record({
      quote: fc.constantFrom('', '"', "'"),
      comment: fc.constantFrom(
        '',
        ' # ghcr.io/team/app:v1',
        '\t# a tab, {[ and ⇒',
        ' #',
        ' # {"$imagepolicy": "flux-system:app:tag"}',
      ),
      old: fc.constantFrom('1.0.0', 'v1', '1.10', '20240501', 'no'),
      indent: fc.constantFrom(2, 4),
    }),
    more: fc.uniqueArray(others, { maxLength: 5 }),
    above: fc.nat({ max: 5 }),
    start: fc.constantFrom('', '\uFEFF', '---\n', '# yaml-language-server: $schema=x\n'),
    lineEnd: fc.constantFrom('\n', '\r\n'),
    finalLine: fc.boolean(),
  })
  .map(({ shape, style, more, above, start, lineEnd, finalLine }) => {
    const { file, under, part } = shape(style);
    const own = under === undefined ? part : `${under}\n${part}`;
    const lines = [...more.slice(0, above), own, ...more.slice(above)].join('\n');
    return { file, repository, text: `${start}${lines}${finalLine ? '\n' : ''}`.replaceAll('\n', lineEnd) };
  });
