import type { OpenQuestion, StepDecision } from '../domain/open-questions.ts';
import { roleFor } from '../domain/person.ts';
import { type Children, type ComponentChild, div, el, h, p, type VNode } from './html.ts';
import { at, type PageView, paths, queryText } from './view.ts';

/** Buttons and what stands around them. All of them are forms: they work without script, by keyboard, and by any screen reader. */

type HiddenFields = Readonly<Record<string, string | undefined>>;

/**
 * A page that is shown anew finds a form again by all that it says, and takes away one that would say something else: what somebody has
 * opened, or is about to press, never comes to mean another thing.
 */
function keyOf({ action, fields }: Pick<ButtonInput, 'action' | 'fields'>): string {
  return action + queryText(fields);
}

interface ButtonInput {
  readonly action: string;
  readonly fields: HiddenFields;
  readonly text: string;
  readonly kind?: 'primary' | 'danger';
  /** For who hears only the button: what it is about. */
  readonly label?: string;
}

/** Done at once. */
export function buttonForm(view: PageView, { action, fields, text, kind, label }: ButtonInput): VNode {
  const button = el(
    'button',
    `button ${kind ?? ''}`,
    { type: 'submit', ...(label !== undefined && { 'aria-label': label }) },
    text,
  );
  const attributes = { 'data-key': keyOf({ action, fields }), method: 'post', action: at(view, action) };
  return el('form', 'inline', attributes, ...hidden(view, fields), button);
}

interface AskInput extends ButtonInput {
  /** What will be done, before it is. */
  readonly explanation: ComponentChild;
  /** Whether a reason has to be given. */
  readonly needsReason: boolean;
  /** What the button says that does it. */
  readonly confirm: string;
  readonly more?: Children;
}

/** Asks once more, and for a reason; it opens in place. */
export function askForm(view: PageView, input: AskInput): VNode {
  const { action, fields, text, kind, label, explanation, needsReason, confirm, more = [] } = input;
  const reason = h('input', { name: 'reason', required: needsReason, maxlength: 500, autocomplete: 'off' });
  return el(
    'details',
    'ask',
    { 'data-key': keyOf(input) },
    el('summary', `button ${kind ?? ''}`, label === undefined ? {} : { 'aria-label': label }, text),
    el(
      'form',
      'ask-form',
      { method: 'post', action: at(view, action) },
      ...hidden(view, fields),
      p('', explanation),
      ...more,
      h('label', null, needsReason ? 'Reason' : 'Reason (may be left out)', reason),
      el('button', `button ${kind ?? 'primary'}`, { type: 'submit' }, confirm),
    ),
  );
}

/** Where to come back to is part of every form. */
function hidden({ here }: PageView, fields: HiddenFields): VNode[] {
  return Object.entries({ ...fields, from: here }).flatMap(([name, value]) =>
    value === undefined ? [] : [h('input', { type: 'hidden', name, value })],
  );
}

interface AskedRollout {
  readonly rollout: string;
  readonly digest?: string | undefined;
}

/** The same step may ask again, for another reason: then it is another question. */
export function questionKey({ step, stage, since }: OpenQuestion): string {
  return `${stage ?? ''}/${step}/${since}`;
}

/** What can be said to one step that waits for a person. */
export function questionForms(view: PageView, question: OpenQuestion, about: AskedRollout): VNode {
  const { decisions, step, stage } = question;
  const forms = decisions.map((verb) => decisionForm(view, verb, question, about));
  const missing = decisions.filter((verb) => !may(view, roleFor(verb)));
  const what = stage === undefined ? step : `${step} in ${stage}`;
  return div(
    'decisions',
    ...forms.filter((form) => form !== undefined),
    missing.length > 0 &&
      p('quiet', `To ${orList(missing)} ${what} takes the role ${missing.includes('approve') ? 'approve' : 'operate'}.`),
  );
}

export function may({ viewer }: PageView, role: 'approve' | 'operate'): boolean {
  return role === 'approve' ? viewer.mayApprove : viewer.mayOperate;
}

function decisionForm(view: PageView, verb: StepDecision, question: OpenQuestion, about: AskedRollout): VNode | undefined {
  if (!may(view, roleFor(verb))) return undefined;
  const { step, stage, failure, head } = question;
  const action = paths.decide(about.rollout);
  const fields = { verb, step, stage };
  const where = stage === undefined ? step : `${step} (${stage})`;
  if (verb === 'approve') {
    // What the person sees is what they approve.
    const bound = { ...fields, digest: about.digest, head };
    return buttonForm(view, { action, fields: bound, text: 'Approve', kind: 'primary', label: `Approve ${stage ?? step}` });
  }
  if (verb === 'retry') return buttonForm(view, { action, fields, text: 'Retry', kind: 'primary', label: `Retry ${where}` });
  if (verb === 'skip') {
    const what = failure === 'OtherChanges' ? 'Lets through what comes along besides the image.' : `Goes on without ${where}.`;
    const explanation = `${what} It is a waiver: it stays beside everything that comes of this rollout.`;
    return askForm(view, {
      action,
      fields,
      text: 'Skip…',
      label: `Skip ${where}…`,
      explanation,
      needsReason: true,
      confirm: `Skip ${step}`,
    });
  }
  const explanation =
    'Ends the rollout, and keeps this digest from being rolled out again until somebody takes it out of quarantine.';
  const label = `Reject at ${where}…`;
  return askForm(view, {
    action,
    fields,
    text: 'Reject…',
    kind: 'danger',
    label,
    explanation,
    needsReason: false,
    confirm: 'Reject the image',
  });
}

export function abortForm(view: PageView, rollout: string): VNode | undefined {
  if (!may(view, 'operate')) return undefined;
  return askForm(view, {
    ...{
      action: paths.decide(rollout),
      fields: { verb: 'abort' },
      text: 'Abort…',
      confirm: 'Abort the rollout',
      needsReason: false,
    },
    explanation: 'Ends the rollout where it stands. The image may be rolled out again when it is pushed again, or by hand.',
  });
}

function orList(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}
