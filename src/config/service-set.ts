import { branchOf, rollbackBranchOf } from '../domain/proposal.ts';
import type { Complaint } from '../settings/problem.ts';
import type { ServiceSettings } from './service.ts';

type Services = readonly (ServiceSettings | undefined)[];

/** What is wrong with services only because of each other. An entry that is wrong by itself is undefined. */
export function serviceSetComplaints(services: Services): Complaint[] {
  return services.flatMap((service, index) => {
    if (service === undefined) return [];
    const earlier = services.slice(0, index);
    const complaint = (key: 'image' | 'name', message: string) => ({ path: ['services', index, key], message });
    return [
      ...nameProblems(service, earlier).map(([key, message]) => complaint(key, message)),
      ...branchProblems(service, earlier).map((message) => complaint('name', message)),
    ];
  });
}

/** The name is the key of a service's lane and rollouts. */
function nameProblems(service: ServiceSettings, earlier: Services): ['image' | 'name', string][] {
  const { image, name } = service;
  const isPattern = image.repository === undefined;
  const same = earlier.findIndex((other) => other?.image.text === image.text);
  if (isPattern && same >= 0) return [['image', `expected each pattern once, found that of services[${same}] again`]];
  const clash = earlier.findIndex((other) => other?.name === name && clashes(other, service));
  if (clash < 0) return [];
  const remedy = isPattern ? 'with * for the last path segment, such as name: other-*' : 'by the key name';
  return [['name', `expected a name of its own (${remedy}), found '${name}' as for services[${clash}]`]];
}

/**
 * Two patterns of one folder never give the same name twice, because a repository follows only the more exact of them. Those of
 * different folders do as soon as both hold a repository of the same name.
 */
function clashes({ image: a }: ServiceSettings, { image: b }: ServiceSettings): boolean {
  const folderOf = (text: string) => text.slice(0, text.lastIndexOf('/'));
  if (a.repository === undefined && b.repository === undefined) return folderOf(a.text) !== folderOf(b.text);
  return a.repository !== undefined && b.repository !== undefined;
}

/** `a-b` in stage `c` and `a` in stage `b-c` would share the branch `landfall/a-b-c`; stage `c-rollback` is the rollback of `c`. */
function branchProblems(service: ServiceSettings, earlier: Services): string[] {
  const others = earlier.flatMap((other) => (other === undefined || other.name === service.name ? [] : [branchesOf(other)]));
  const taken = others.flatMap(({ own }) => own);
  const takenByRollbacks = others.flatMap(({ rollbacks }) => rollbacks);
  const { own, rollbacks } = branchesOf(service);
  const shared = [
    ...own.filter((branch) => taken.includes(branch) || takenByRollbacks.includes(branch)),
    ...rollbacks.filter((branch) => taken.includes(branch)),
  ];
  const problem = (branch: string, whose: string) =>
    `expected a name that makes no branch twice, found ${branch} for ${whose}: rename this one or a stage`;
  const ofBoth = own.filter((branch) => rollbacks.includes(branch));
  return [
    ...shared.map((branch) => problem(branch, 'two services')),
    ...ofBoth.map((branch) => problem(branch, 'a stage and for the rollback of another')),
  ];
}

function branchesOf({ name, stages }: ServiceSettings) {
  const changed = stages.filter(({ change }) => change !== undefined).map((stage) => stage.name);
  const rollbacks = changed.map((stage) => rollbackBranchOf(name, stage));
  return { own: changed.map((stage) => branchOf(name, stage)), rollbacks };
}
