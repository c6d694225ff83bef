import { branchOf, rollbackBranchOf } from '../domain/branch.ts';
import type { Complaint } from '../settings/problem.ts';
import type { ServiceSettings } from './configuration.ts';

type Services = readonly (ServiceSettings | undefined)[];

/** What is wrong with services only because of each other. An entry that is wrong by itself is undefined. */
export function serviceSetComplaints(services: Services): Complaint[] {
  return services.flatMap((service, index) => {
    if (service === undefined) return [];
    const earlier = services.slice(0, index);
    return [...nameComplaints(service, index, earlier), ...branchComplaints(service, index, earlier)];
  });
}

/** The name is the key of a service's lane and rollouts. */
function nameComplaints(service: ServiceSettings, index: number, earlier: Services): Complaint[] {
  const isPattern = service.image.repository === undefined;
  const same = earlier.findIndex((other) => other?.image.text === service.image.text);
  if (isPattern && same >= 0) {
    return [{ path: ['services', index, 'image'], message: `expected each pattern once, found that of services[${same}] again` }];
  }
  const clash = earlier.findIndex((other) => other !== undefined && other.name === service.name && clashes(other, service));
  if (clash < 0) return [];
  const remedy = isPattern ? 'with * for the last path segment, such as name: other-*' : 'by the key name';
  return [
    {
      path: ['services', index, 'name'],
      message: `expected a name of its own (${remedy}), found '${service.name}' as for services[${clash}]`,
    },
  ];
}

/**
 * Two patterns of one folder never give the same name twice, because a repository follows only the more exact of them. Those of
 * different folders do as soon as both hold a repository of the same name.
 */
function clashes(a: ServiceSettings, b: ServiceSettings): boolean {
  const isPattern = [a, b].map(({ image }) => image.repository === undefined);
  if (isPattern[0] !== isPattern[1]) return false;
  return isPattern[0] === false || folderOf(a) !== folderOf(b);
}

function folderOf({ image }: ServiceSettings): string {
  return image.text.slice(0, image.text.lastIndexOf('/'));
}

/** `a-b` in stage `c` and `a` in stage `b-c` would share the branch `landfall/a-b-c`; stage `c-rollback` is the rollback of `c`. */
function branchComplaints(service: ServiceSettings, index: number, earlier: Services): Complaint[] {
  const others = earlier.flatMap((other) => (other === undefined || other.name === service.name ? [] : [branchesOf(other)]));
  const [taken, takenByRollbacks] = [others.flatMap(({ own }) => own), others.flatMap(({ rollbacks }) => rollbacks)];
  const { own, rollbacks } = branchesOf(service);
  const shared = [
    ...own.filter((branch) => taken.includes(branch) || takenByRollbacks.includes(branch)),
    ...rollbacks.filter((branch) => taken.includes(branch)),
  ];
  const complaint = (branch: string, whose: string): Complaint => ({
    path: ['services', index, 'name'],
    message: `expected a name that makes no branch twice, found ${branch} for ${whose}: rename this one or a stage`,
  });
  return [
    ...shared.map((branch) => complaint(branch, 'two services')),
    ...own
      .filter((branch) => rollbacks.includes(branch))
      .map((branch) => complaint(branch, 'a stage and for the rollback of another')),
  ];
}

function branchesOf({ name, stages }: ServiceSettings): { readonly own: string[]; readonly rollbacks: string[] } {
  const changed = stages.filter(({ change }) => change !== undefined).map((stage) => stage.name);
  return {
    own: changed.map((stage) => branchOf(name, stage)),
    rollbacks: changed.map((stage) => rollbackBranchOf(name, stage)),
  };
}
