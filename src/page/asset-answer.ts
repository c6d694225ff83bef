import type { Context } from 'koa';
import { iconFile, islandFile, stylesFile } from './assets.ts';

/** What pages need besides themselves. The names of script and styles change with what they are, so that they can be kept. */
export function sendAsset(context: Context, name: string): void {
  const asset = [stylesFile, islandFile, iconFile].find((known) => known.name === name);
  if (asset === undefined) return;
  context.type = asset.type;
  context.set('Cache-Control', asset === iconFile ? 'max-age=3600' : 'max-age=31536000, immutable');
  context.body = asset.text;
}
