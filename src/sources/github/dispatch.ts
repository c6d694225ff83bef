import { z } from 'zod';
import { isDigest, isTag, type Repository, type Tag } from '../../domain/image-reference.ts';
import { malformed } from '../../http/problem.ts';
import { referenceIn } from '../kit/image.ts';
import { account, isObject, jsonIn, originIn, present, printableLine, signedBy, texts } from '../kit/reading.ts';
import type { ParsedRequest, PushedImage } from '../kit/source.ts';

const eventSchema = z.object({ ...texts('action'), client_payload: z.unknown().optional(), sender: account });

/** Nobody pushes more tags of one image together. */
const mostTags = 100;

type PayloadFields = ReadonlyMap<string, unknown>;

/**
 * What a `repository_dispatch` event says, whose sender chose its name and wrote its payload: `{service, image, tag, digest?, sha,
 * repository}`, or with `tags` and `source_repository` as the action dispatch_on_image_push_success sends it, whose `repository` is the
 * image. Unlike GitHub's own events it is made for us, so what is wrong with it is said.
 * @param body a JSON object
 * @param names of the dispatches that tell of images
 * @throws Problem 400 if the payload is not of this form
 * @see https://docs.github.com/webhooks/webhook-events-and-payloads#repository_dispatch
 */
export function readDispatchEvent(body: object, names: readonly string[]): Partial<ParsedRequest> {
  const { action: name, client_payload: payload, sender } = eventSchema.parse(body);
  const action = printableLine(name, 100);
  const seen = present({ action });
  if (action === undefined || !names.includes(action)) return { ...seen, ignored: `expected the action ${names.join(' or ')}` };
  if (!isObject(payload)) throw malformed('Expected client_payload as an object with image and tag.');
  const fields = new Map<string, unknown>(Object.entries(payload));
  // Landfall tells other repositories in this very form, and would start what it has just done.
  if (!isAbsent(fields.get('rollout_id'))) return { ...seen, ignored: 'Landfall itself sent this dispatch: it has a rollout_id' };
  // That action need not name the image, and Landfall passes pushes on in its form.
  if (isAbsent(fields.get('image')) && !isAbsent(fields.get('tags'))) return { ...seen, ignored: 'its payload names no image' };
  const run = fields.get('run_id');
  const origin = originIn({
    commit: textIn(fields, 'sha', 'a commit') ?? textIn(fields, 'commit', 'a commit'),
    sourceRepository: textIn(fields, 'source_repository', 'owner/name') ?? textIn(fields, 'repository', 'owner/name'),
    actor: sender?.login,
  });
  const about = {
    ...origin,
    ...signedBy(origin, sender, 'actor'),
    ...(typeof run === 'string' && /^\d{1,20}$/.test(run) && { buildId: run }),
  };
  return { ...seen, images: imagesIn(fields).map((image) => ({ ...image, ...about })) };
}

function imagesIn(fields: PayloadFields): readonly Pick<PushedImage, 'repository' | 'tag' | 'digest'>[] {
  textIn(fields, 'service', 'the name of the service');
  const expected = 'an image with its registry, such as ghcr.io/team/app';
  const written = textIn(fields, 'image', expected);
  const reference = written === undefined ? undefined : referenceIn(written);
  if (reference === undefined) throw malformed(`Expected client_payload.image as ${expected}.`);
  const { repository } = reference;
  const ofField = textIn(fields, 'digest', 'a digest');
  requireAgreement('digest', reference.digest, ofField === undefined ? [] : [ofField]);
  const digest = ofField ?? reference.digest;
  if (digest !== undefined && !isDigest(digest)) {
    throw malformed('Expected client_payload.digest as sha256: and 64 lower-case hex digits, or none.');
  }
  return tagsIn(fields, reference.tag, repository).map((tag) => ({ repository, tag, ...present({ digest }) }));
}

function tagsIn(fields: PayloadFields, ofImage: string | undefined, repository: Repository): readonly Tag[] {
  const tag = textIn(fields, 'tag', 'a tag');
  const listed = tag === undefined ? tagListIn(fields.get('tags')) : [tag];
  // docker/metadata-action lists whole references.
  const ofFields = listed.map((each) => (each.startsWith(`${repository}:`) ? each.slice(repository.length + 1) : each));
  requireAgreement('tag', ofImage, ofFields);
  const written = [...new Set(ofFields.length === 0 && ofImage !== undefined ? [ofImage] : ofFields)];
  const tags = written.filter((each) => isTag(each));
  if (tags.length > 0 && tags.length === written.length) return tags;
  throw malformed('Expected client_payload.tag as a tag: at most 128 letters, digits, _, . and -.');
}

function tagListIn(value: unknown): readonly string[] {
  if (isAbsent(value)) return [];
  const listed = typeof value === 'string' ? listIn(value) : value;
  if (Array.isArray(listed) && listed.length <= mostTags && listed.every((tag) => typeof tag === 'string')) return listed;
  throw malformed(`Expected client_payload.tags as a JSON list of at most ${mostTags} tags, or as lines or words.`);
}

function listIn(text: string): readonly unknown[] {
  const json = jsonIn(text);
  return Array.isArray(json) ? json : text.split(/[\s,]+/).filter((word) => word !== '');
}

function textIn(fields: PayloadFields, name: string, expected: string): string | undefined {
  const value = fields.get(name);
  if (isAbsent(value)) return undefined;
  if (typeof value !== 'string') throw malformed(`Expected client_payload.${name} as text: ${expected}.`);
  return value;
}

function requireAgreement(field: string, ofImage: string | undefined, ofFields: readonly string[]): void {
  if (ofImage !== undefined && ofFields.some((each) => each !== ofImage)) {
    throw malformed(`Expected client_payload.image without a ${field}, or with the one of client_payload.${field}.`);
  }
}

/** Senders empty and null what they do not know. */
function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}
