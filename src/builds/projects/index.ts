import type { ProjectKind } from '../project.ts';
import { airbyteConnectorProject } from './airbyte-connector/index.ts';
import { dockerfileProject } from './dockerfile/index.ts';

/** Every kind of project. To add one: its folder, and a line here. */
export const projects: readonly ProjectKind[] = [dockerfileProject, airbyteConnectorProject];
