import type { ImageExplanation, ServiceExplanation } from '../operations/explain-image.ts';
import { type Children, el, h, p, type VNode } from './html.ts';
import { dataTable, digestCode, facts, section } from './parts.ts';
import { prose } from './prose.ts';
import { at, type PageView, paths } from './view.ts';

/** What somebody asked about a tag of the service, and what is to be said of it. */
export interface AskedTag {
  readonly tag: string;
  /** Absent: the question itself was wrong. */
  readonly explanation?: ImageExplanation;
}

const words = { starts: 'Yes', ignored: 'No', refused: 'No', unknown: 'Not known' } as const;

/** What a push of a tag would come to, before anybody pushes it: the same as `landfall why`. */
export function tagQuestion(view: PageView, service: string, asked: AskedTag | undefined): VNode {
  const input = h('input', { name: 'tag', value: asked?.tag ?? '', required: true, maxlength: 128, autocomplete: 'off' });
  return section(
    'tag',
    'What would a push do?',
    el(
      'form',
      'filters',
      { method: 'get', action: at(view, paths.service(service)) },
      h('label', null, 'Tag', input),
      el('button', 'button', { type: 'submit' }, 'Ask'),
    ),
    ...(asked?.explanation === undefined ? [] : explained(asked.explanation)),
  );
}

function explained({ repository, tag, digest, registry, services }: ImageExplanation): Children {
  return [
    facts([
      ['Image', h('code', null, `${repository}:${tag}`)],
      ['Registry', digest === undefined ? (registry ?? 'not asked') : digestCode(digest)],
    ]),
    ...services.flatMap(ofService),
  ];
}

function ofService({ service, policy, verdict, text, candidates, more, stages }: ServiceExplanation): Children {
  const waits = stages.map(({ stage, waits, behind }) => ({
    key: stage,
    cells: [stage, [waits, behind && `behind ${behind}`].filter(Boolean).join('; ') || 'would not wait'],
  }));
  const tags = candidates.map((candidate) => ({ key: candidate.tag, cells: [h('code', null, candidate.tag), candidate.text] }));
  return [
    p('', h('strong', null, `${words[verdict]}: `), ...prose(text), ` (${service} follows ${policy})`),
    waits.length > 0 && dataTable(`Stages of ${service}`, ['Stage', 'What it would wait for'], waits),
    tags.length > 0 && dataTable(`Tags for ${service}`, ['Tag', 'What it is'], tags),
    more > 0 && p('quiet', `And ${more} more that are earlier, or not followed.`),
  ];
}
