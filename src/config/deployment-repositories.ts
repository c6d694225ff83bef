import type { Configuration, StageSettings } from './configuration.ts';

/** Whether what happens in a repository (`owner/name`) of the forge can matter to a rollout: a stage changes, deploys by, or watches it. */
export function isDeploymentRepository({ services }: Configuration, repository: string): boolean {
  const wanted = repository.toLowerCase();
  return services.some(({ stages }) => stages.flatMap(repositoriesOf).some((name) => name.toLowerCase() === wanted));
}

function repositoriesOf({ change, deploy, watch }: StageSettings): string[] {
  const deployedBy = deploy?.kind === 'workflow' || deploy?.kind === 'deployment' ? deploy.repository : undefined;
  return [change?.repository, deployedBy, watch?.deployment?.repository].filter((name) => name !== undefined);
}
