import { createHmac } from 'node:crypto';
import { Refusal } from '../../domain/failures.ts';
import { toldChanges } from '../../domain/other-changes.ts';
import type { OtherChanges } from '../../domain/outcomes.ts';
import { canonical, changedMounts, changesBetween, type DefinitionChange } from './changes.ts';
import type { NextDefinition } from './next.ts';
import { refused } from './refusals.ts';
import type { ComposeTarget } from './site.ts';
import type { StageFiles, StoredDefinition } from './stage-files.ts';

const mostChanges = 20;
const longestChange = 200;

/** What a deploy changes besides the image, and who brought it. @returns undefined if it changes nothing else */
export async function othersOf(
  files: StageFiles,
  ran: StoredDefinition,
  { project, history }: NextDefinition,
): Promise<OtherChanges | undefined> {
  const { containers, commit = history?.head, exact } = ran['x-landfall'];
  const services = Object.keys(containers);
  const changedFiles = history === undefined || commit === undefined ? [] : await history.changedSince(commit);
  const changes = [
    ...(exact ? [] : services.map(unknownDefinition)),
    ...changesBetween(ran, project.definition, services),
    ...changedMounts(project.definition, services, changedFiles),
  ];
  if (changes.length === 0) return undefined;
  const commits =
    history === undefined || commit === undefined
      ? []
      : await history.commitsSince(
          commit,
          changedFiles.filter((file) => changes.some(({ values }) => values[1] === file)),
        );
  const fingerprint = createHmac('sha256', await files.secret())
    .update(canonical(changes))
    .digest('hex')
    .slice(0, 32);
  return {
    changes: changes.slice(0, mostChanges).map(({ text }) => text.slice(0, longestChange)),
    ...(changes.length > mostChanges && { more: changes.length - mostChanges }),
    commits,
    fingerprint,
  };
}

/** Somebody started it from other files, or changed the files since without an `up`. */
function unknownDefinition(service: string): DefinitionChange {
  const text = `${service}: what runs was made from another definition than the files here, so more than is named may change`;
  return { text, values: [undefined, undefined] };
}

/**
 * Has a person decide where the stage says so.
 * @param accepted fingerprint of the changes that a person has said yes to
 * @throws Refusal `OtherChanges`, `DeployRefused`; both with the changes
 */
export function requireAccepted(
  { deploy, stage }: ComposeTarget,
  others: OtherChanges | undefined,
  accepted: string | undefined,
): void {
  if (others === undefined || others.fingerprint === accepted) return;
  if (deploy.others === 'apply') return;
  const told = `expected the deploy of ${deploy.services.join(', ')} in ${stage.name} to change nothing but the image, but it would bring along: ${toldChanges(others)}`;
  if (deploy.others === 'refuse') {
    throw refused(
      `${told}; deploy.compose.others is 'refuse': undo that in the repository, or deploy it by hand, then retry`,
      undefined,
      [others],
    );
  }
  throw new Refusal(
    'OtherChanges',
    `${told}; 'skip' with a reason has it brought along, 'retry' looks again once the repository is mended`,
    [others],
  );
}
