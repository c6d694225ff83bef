import fs from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../domain/errors.ts';
import { type Digest, isDigest, isTag, type Repository, type Tag } from '../../domain/image-reference.ts';
import type { Log } from '../../domain/log.ts';
import { shortHash } from '../../domain/search.ts';
import { readTextIfThere, unlessAbsent, writeDurably } from '../files/durable-file.ts';
import { safeName } from '../files/safe-name.ts';

/** What a tag pointed to when it was last asked for, and when that image was made; absent: it does not say, or is no image. */
export interface StoredTag {
  readonly digest: Digest;
  readonly created?: string;
}

export interface StoredTagsSettings {
  /** Absolute, and for this alone; made when first needed. */
  readonly folder: string;
  readonly log: Pick<Log, 'warn'>;
  /** Of all files together; the one that was not used for the longest time makes way. Default: 256 MiB, some two million tags. */
  readonly mostBytes?: number;
}

/** Of what was learned, so much at most is lost with the process. */
const linesAtOnce = 100;
/** A file is written anew where it has so many lines more than twice what counts. */
const spareLines = 1_000;
const mostBytesOfAll = 256 * 1024 ** 2;
const dayMs = 24 * 60 * 60_000;
/** Stands in the place of a tag, which cannot begin like that: up to when tags were asked for again. */
const askedMark = '@';

/**
 * What was learned of a repository's tags, for policies that compare creation times: to ask for each tag at each look is thousands of
 * requests. A cache on this machine's disk: what is lost or broken is asked for anew, and what it says of a tag is true of the time at
 * which that was asked for. What a digest is never changes, so its creation time is asked for once.
 *
 * A file has a line for each thing learned, and the last one of a tag counts. It is only added to, so that a process that is killed loses
 * no more than its last lines. Each line begins with a short hash of itself and of the repository: what was cut or broken is no line.
 */
export class StoredTags {
  readonly #repository: Repository;
  readonly #file: string;
  readonly #settings: StoredTagsSettings;
  readonly #tags = new Map<Tag, StoredTag>();
  readonly #digests = new Map<Digest, StoredTag>();
  #unwritten: string[] = [];
  #lines = 0;
  /** Milliseconds since 1970; undefined: there was nothing to be asked for again. */
  #askedUntil: number | undefined;

  /** What is stored of a repository. Never throws: without a file there is nothing. */
  static async open(repository: Repository, settings: StoredTagsSettings): Promise<StoredTags> {
    const stored = new StoredTags(repository, settings);
    try {
      const text = await readTextIfThere(stored.#file);
      if (text === undefined) await makeRoom(settings);
      else stored.#read(text);
    } catch (error) {
      stored.#warn(error);
    }
    return stored;
  }

  private constructor(repository: Repository, settings: StoredTagsSettings) {
    this.#repository = repository;
    this.#settings = settings;
    this.#file = join(settings.folder, `${safeName(repository)}.txt`);
  }

  get(tag: Tag): StoredTag | undefined {
    return this.#tags.get(tag);
  }

  /** The same for whatever tag: what is known of the digest. */
  of(digest: Digest): StoredTag | undefined {
    return this.#digests.get(digest);
  }

  tags(): Tag[] {
    return [...this.#tags.keys()];
  }

  learn(tag: Tag, digest: Digest, created: string | undefined): void {
    const before = this.#tags.get(tag);
    if (before?.digest === digest && before.created === created) return;
    this.#take(tag, digest, created);
    this.#add(`${tag} ${digest} ${created ?? ''}`);
  }

  /**
   * The tags whose time of the day, which each has by its hash, came since they were asked for again: a tag may have moved without anybody
   * telling. To ask for all of them once a day costs a look of every five minutes a three-hundredth.
   * @param now milliseconds since 1970
   */
  due(now: number): Tag[] {
    const before = this.#askedUntil ?? now;
    const dayOf = (time: number, tag: Tag): number => Math.floor(time / dayMs - shortHash(tag) / 2 ** 32);
    return this.tags().filter((tag) => dayOf(now, tag) > dayOf(before, tag));
  }

  /** Says that what was due then was asked for. */
  settle(now: number): void {
    this.#askedUntil = now;
    this.#add(`${askedMark} ${Math.floor(now)} `);
  }

  /** What is stored of tags that are not there any more is of no use. */
  keepOnly(listed: readonly Tag[]): void {
    const there = new Set(listed);
    for (const tag of this.#tags.keys()) if (!there.has(tag)) this.#tags.delete(tag);
  }

  /** Writes what is not written yet. */
  async close(): Promise<void> {
    this.#write();
    if (this.#lines <= 2 * this.#tags.size + spareLines) return;
    const lines = [...this.#tags].map(([tag, { digest, created }]) => `${tag} ${digest} ${created ?? ''}`);
    if (this.#askedUntil !== undefined) lines.push(`${askedMark} ${Math.floor(this.#askedUntil)} `);
    try {
      await writeDurably(this.#file, lines.map((line) => this.#sealed(line)).join(''));
      this.#lines = lines.length;
    } catch (error) {
      this.#warn(error);
    }
  }

  #read(text: string): void {
    for (const line of text.split('\n')) {
      const [hash = '', first = '', second = '', third = ''] = line.split(' ');
      if (line === '' || hash !== this.#hashOf(`${first} ${second} ${third}`)) continue;
      this.#lines += 1;
      if (first === askedMark) this.#askedUntil = Number(second);
      else if (isTag(first) && isDigest(second)) this.#take(first, second, third === '' ? undefined : third);
    }
  }

  #take(tag: Tag, digest: Digest, created: string | undefined): void {
    const stored = this.#digests.get(digest) ?? { digest, ...(created !== undefined && { created }) };
    this.#digests.set(digest, stored);
    this.#tags.set(tag, stored);
  }

  #add(line: string): void {
    this.#unwritten.push(this.#sealed(line));
    if (this.#unwritten.length >= linesAtOnce) this.#write();
  }

  /** At once, so that the lines of two that learn at the same time stay whole. */
  #write(): void {
    if (this.#unwritten.length === 0) return;
    const lines = this.#unwritten;
    this.#unwritten = [];
    try {
      fs.mkdirSync(this.#settings.folder, { recursive: true });
      // A line that was cut ends here, whatever it was.
      fs.appendFileSync(this.#file, `\n${lines.join('')}`, { mode: 0o600 });
      this.#lines += lines.length;
    } catch (error) {
      this.#warn(error);
    }
  }

  #sealed(line: string): string {
    return `${this.#hashOf(line)} ${line}\n`;
  }

  #hashOf(line: string): string {
    return shortHash(`${this.#repository} ${line}`).toString(36);
  }

  #warn(error: unknown): void {
    this.#settings.log.warn(
      { folder: this.#settings.folder, reason: messageOf(error) },
      'what is known of tags cannot be kept, and is asked for at each look: mend the folder or disk',
    );
  }
}

/** Files that were not used for the longest time make way, before another one is begun. */
async function makeRoom({ folder, mostBytes = mostBytesOfAll }: StoredTagsSettings): Promise<void> {
  await mkdir(folder, { recursive: true });
  const names = await readdir(folder);
  const found = await Promise.all(
    names.map(async (name) => ({ name, stats: await stat(join(folder, name)).catch(unlessAbsent) })),
  );
  let bytes = 0;
  for (const { name, stats } of found.sort((a, b) => (b.stats?.mtimeMs ?? 0) - (a.stats?.mtimeMs ?? 0))) {
    bytes += stats?.size ?? 0;
    if (bytes > mostBytes) await rm(join(folder, name), { force: true });
  }
}
