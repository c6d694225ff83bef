import type { ServiceSettings } from './configuration.ts';
import type { Complaint } from './problem.ts';

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

/** `a-b` in stage `c` and `a` in stage `b-c` would share the branch `landfall/a-b-c`. */
function branchComplaints(service: ServiceSettings, index: number, earlier: Services): Complaint[] {
  const taken = new Set(
    earlier.flatMap((other) => (other === undefined || other.name === service.name ? [] : branchesOf(other))),
  );
  return branchesOf(service)
    .filter((branch) => taken.has(branch))
    .map((branch) => ({
      path: ['services', index, 'name'],
      message: `expected a name that makes no branch twice, found landfall/${branch} for two services: rename this one or a stage`,
    }));
}

function branchesOf({ name, stages }: ServiceSettings): string[] {
  return stages.filter(({ change }) => change !== undefined).map((stage) => `${name}-${stage.name}`);
}
