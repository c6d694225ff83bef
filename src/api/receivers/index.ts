import type { z } from 'zod';
import type { SecretCheck } from '../../config/scalars.ts';
import { acrSource } from './acr.ts';
import { aliyunSource } from './aliyun.ts';
import { cloudeventsSource } from './cloudevents.ts';
import { distributionSource } from './distribution.ts';
import { dockerhubSource } from './dockerhub.ts';
import { ecrSource } from './ecr.ts';
import { eventSource } from './event.ts';
import { garSource } from './gar.ts';
import { genericSource } from './generic.ts';
import { giteaSource } from './gitea.ts';
import { githubSource } from './github.ts';
import { harborSource } from './harbor.ts';
import { jfrogSource } from './jfrog.ts';
import { nexusSource } from './nexus.ts';
import { quaySource } from './quay.ts';
import type { Receiver } from './receiver.ts';
import type { SourceContext } from './source.ts';

/** Every source of pushes. To add one: its file, and a line here. */
const sources = [
  githubSource,
  distributionSource,
  quaySource,
  dockerhubSource,
  acrSource,
  aliyunSource,
  harborSource,
  ecrSource,
  garSource,
  jfrogSource,
  nexusSource,
  giteaSource,
  cloudeventsSource,
  eventSource,
  genericSource,
] as const;

type AnySource = (typeof sources)[number];
type SettingsSchemas = { readonly [S in AnySource as S['name']]: z.ZodExactOptional<ReturnType<S['settings']>> };

/** What the configuration says about each source. A source that is absent has no path. */
export type ReceiverSettings = { readonly [S in AnySource as S['name']]?: z.output<ReturnType<S['settings']>> };

/** The keys of the configuration's `receivers`. */
export function receiverSettings(check: SecretCheck): SettingsSchemas {
  const schemas = sources.map((source) => [source.name, source.settings(check).exactOptional()]);
  return Object.fromEntries(schemas) as SettingsSchemas;
}

/**
 * The receivers that the configuration asks for.
 * @throws Error where one of them has no secret
 */
export function createReceivers(settings: ReceiverSettings, context: SourceContext): readonly Receiver[] {
  return sources.flatMap((source) => source.open(settings, context));
}
