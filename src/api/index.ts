/** What the world and operators reach of Landfall: webhooks, and the operators' listener. */

export { createOperatorApp, createReachTemporal, type OperatorParts } from './operators/app.ts';
export { type AskerDependencies, createWhoAsks } from './operators/asker.ts';
export { createReadJob } from './operators/jobs.ts';
export { codeLoginPath } from './operators/login-routes.ts';
export { createSessions } from './operators/sessions.ts';
export { createEventFeed } from './operators/v1/event-feed.ts';
export { createAcceptCommits } from './webhooks/accept-commits.ts';
export { createAcceptPushes } from './webhooks/accept-pushes.ts';
export { createWebhookApp } from './webhooks/app.ts';
export { createForwardProgress } from './webhooks/forward-progress.ts';
export { createSenders } from './webhooks/senders.ts';
