/** What the world and operators reach of Landfall: webhooks, and the operators' listener. */
export { createOperatorApp, createReachTemporal } from './operators/app.ts';
export { createAcceptPushes } from './webhooks/accept-pushes.ts';
export { createWebhookApp } from './webhooks/app.ts';
export { createForwardProgress } from './webhooks/forward-progress.ts';
export { createSenders } from './webhooks/senders.ts';
