import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildSource } from '../domain/build.ts';
import type { Sources } from './checkout.ts';

interface SharedCheckout {
  readonly root: Promise<string>;
  users: number;
}

/**
 * The files of a commit for all who read them at one time: each folder of a pattern is a build of its own, and hundreds of them begin at once.
 * @param folder absolute: for what is only looked at
 * @returns lends the root of a checkout, in which nothing may be changed; whoever is the last to leave removes it
 */
export function createSharedCheckouts(sources: Pick<Sources, 'checkOut'>, folder: string) {
  const known = new Map<string, SharedCheckout>();

  async function checkOut(source: BuildSource, commit: string, key: string): Promise<string> {
    try {
      const root = await mkdtemp(join(folder, 'commit-'));
      try {
        await sources.checkOut(source, commit, root);
        return root;
      } catch (error) {
        await rm(root, { recursive: true, force: true });
        throw error;
      }
    } catch (error) {
      known.delete(key);
      throw error;
    }
  }

  return async <Result>(source: BuildSource, commit: string, act: (root: string) => Promise<Result>): Promise<Result> => {
    const key = `${commit} ${source.repository}`;
    const shared = known.get(key) ?? { root: checkOut(source, commit, key), users: 0 };
    known.set(key, shared);
    shared.users += 1;
    const root = await shared.root;
    try {
      return await act(root);
    } finally {
      shared.users -= 1;
      if (shared.users === 0) {
        known.delete(key);
        await rm(root, { recursive: true, force: true });
      }
    }
  };
}
