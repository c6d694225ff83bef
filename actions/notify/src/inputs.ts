import { isPlainHttp } from '../../../src/domain/plain-http.ts';

export interface Inputs {
  /** Where to post to. */
  readonly url: string;
  readonly audience: string;
  readonly image: string;
  readonly tags: readonly string[];
  /** Whatever the last verdict was. */
  readonly again: boolean;
  readonly timeoutMs: number;
}

const longestSeconds = 6 * 60 * 60;
const defaultSeconds = 120;

/**
 * @param read an input of the action by its name; the empty text where there is none
 * @throws Error that names the input, what was expected and what was found
 */
export function readInputs(read: (name: string) => string): Inputs {
  const value = (name: string): string => read(name).trim();
  const image = readImage(value('image'));
  return {
    url: readUrl(value('url') || value('webhook-url'), value('plain-http') === 'true'),
    audience: required(
      'audience',
      value('audience'),
      'what the token is requested for, as in receivers.event.audience of Landfall',
    ),
    image,
    tags: readTags([value('tags'), value('tag')], image, value('expand-versions') === 'true'),
    again: value('again') === 'true',
    timeoutMs: readTimeout(value('timeout-seconds')),
  };
}

function required(name: string, value: string, expected: string): string {
  if (value === '') throw new Error(`${name}: expected ${expected}; found nothing`);
  return value;
}

/** A token goes there that lets anybody start rollouts who reads it on the way. */
function readUrl(value: string, plainHttp: boolean): string {
  const expected = 'the URL of Landfall, such as https://landfall.example.org';
  required('url', value, expected);
  if (!URL.canParse(value) || !/^https?:$/.test(new URL(value).protocol)) throw new Error(`url: expected ${expected}`);
  const url = new URL(value);
  if (isPlainHttp(url) && !plainHttp) {
    throw new Error(
      `url: expected ${expected}; found http://, where everybody on the way can read the job's token. ` +
        `Use https://, or set plain-http: true, if nobody else is on that network`,
    );
  }
  if (url.pathname === '/') url.pathname = '/event';
  return url.href;
}

/** Repositories are written with capitals at GitHub, as in `ghcr.io/${{ github.repository }}`, and with small letters in registries. */
function readImage(value: string): string {
  // GitHub's own events name it by its URL.
  const image = required('image', value, 'an image such as ghcr.io/team/app')
    .toLowerCase()
    .replace(/^https:\/\//, '');
  if (!image.includes('/'))
    throw new Error(`image: expected an image with registry and path, such as ghcr.io/team/app; found '${value}'`);
  if (image.includes('@') || image.lastIndexOf(':') > image.lastIndexOf('/')) {
    throw new Error(`image: expected an image without tag and digest; found '${value}'. Put the tag into tags`);
  }
  return image;
}

function readTags(values: readonly string[], image: string, isExpanded: boolean): readonly string[] {
  const listed = values.flatMap(listOf).map((tag) => withoutImage(tag, image));
  if (listed.length === 0) throw new Error('tags: expected at least one tag; found nothing');
  // docker/metadata-action lists those of every registry that a job pushes to.
  const own = listed.filter((tag) => !isReference(tag));
  const tags = own.length === 0 ? listed : own;
  const wrong = tags.find((tag) => !/^\w[\w.-]{0,127}$/.test(tag));
  if (wrong === undefined) return [...new Set(isExpanded ? tags.flatMap(withShorter) : tags)];
  throw new Error(
    `tags: expected tags of ${image}, each of at most 128 letters, digits, _, . and -; found '${wrong.slice(0, 200)}'`,
  );
}

/** `v1.2.3` is also `v1` and `v1.2`. */
function withShorter(tag: string): readonly string[] {
  const [, minor, major] = /^((v\d+)\.\d+)\.\d+$/.exec(tag) ?? [];
  return major === undefined || minor === undefined ? [tag] : [major, minor, tag];
}

/** `registry/path:tag` */
function isReference(text: string): boolean {
  return /^[\w.:-]+\/[\w./-]+:\w[\w.-]{0,127}$/.test(text);
}

function listOf(value: string): readonly string[] {
  if (!value.startsWith('[')) return value.split(/[\s,]+/).filter((tag) => tag !== '');
  const wrong = new Error('tags: expected a JSON array of texts, such as ["v1.0", "latest"]');
  let list: unknown;
  try {
    list = JSON.parse(value);
  } catch {
    throw wrong;
  }
  if (!Array.isArray(list) || !list.every((tag): tag is string => typeof tag === 'string')) throw wrong;
  return list.map((tag) => tag.trim());
}

/** docker/metadata-action lists whole references. */
function withoutImage(tag: string, image: string): string {
  return tag.toLowerCase().startsWith(`${image}:`) ? tag.slice(image.length + 1) : tag;
}

function readTimeout(value: string): number {
  const seconds = value === '' ? defaultSeconds : Number(value);
  if (seconds > 0 && seconds <= longestSeconds) return seconds * 1000;
  throw new Error(`timeout-seconds: expected a number of seconds above 0 and up to ${longestSeconds}; found '${value}'`);
}
