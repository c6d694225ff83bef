export type { PageDependencies } from './dependencies.ts';
export type { FirstPush } from './now.ts';
export { createPage, type Page } from './routes.ts';
export type { UnknownViewer, Viewer } from './view.ts';
