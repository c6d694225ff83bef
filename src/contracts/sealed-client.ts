import { randomUUID } from 'node:crypto';
import { Client, type ClientOptions, type WorkflowClientInterceptor } from '@temporalio/client';
import { createSealCodec, type Sealing } from './seal.ts';
import { sealedArguments } from './sealed.ts';

type SealedClientOptions = Required<Pick<ClientOptions, 'connection' | 'namespace'>> & {
  readonly sealing: Sealing;
  /** They see messages before these are sealed. */
  readonly interceptors?: readonly WorkflowClientInterceptor[];
  /** For tests. */
  readonly now?: () => number;
};

/** A client of Temporal that seals what it says, each message for its one use. What it is answered without a seal is an `UnsealedValue`. */
export function sealedClient({ connection, namespace, sealing, interceptors = [], now = Date.now }: SealedClientOptions): Client {
  const dataConverter = { payloadCodecs: [createSealCodec(namespace, sealing, 'client')] };
  return new Client({ connection, namespace, dataConverter, interceptors: { workflow: [...interceptors, sealsMessages(now)] } });
}

function sealsMessages(now: () => number): WorkflowClientInterceptor {
  const start = <Options extends { readonly args: unknown[] }>(type: string, options: Options): Options => ({
    ...options,
    // Who is started with nothing waits for signals, and needs no seal.
    args: options.args.length === 0 ? [] : sealedArguments({ for: `start ${type}`, at: now() }, options.args),
  });
  const signal = (name: string, args: readonly unknown[]) => sealedArguments({ for: `signal ${name}`, at: now() }, args);
  /** Temporal takes an update of one id once in a run, and the seal holds for that id alone: nobody can send it a second time. */
  const update = (name: string, updateId: string, args: readonly unknown[]) =>
    sealedArguments({ for: `update ${name} ${updateId}`, at: now() }, args);
  return {
    startWithDetails: (input, next) => next({ ...input, options: start(input.workflowType, input.options) }),
    signal: (input, next) => next({ ...input, args: signal(input.signalName, input.args) }),
    signalWithStart: (input, next) =>
      next({
        ...input,
        options: start(input.workflowType, input.options),
        signalArgs: signal(input.signalName, input.signalArgs),
      }),
    startUpdate: (input, next) => {
      const updateId = input.options.updateId ?? randomUUID();
      return next({
        ...input,
        options: { ...input.options, updateId },
        args: update(input.updateName, updateId, input.args),
      });
    },
    startUpdateWithStart: (input, next) => {
      const updateId = input.updateOptions.updateId ?? randomUUID();
      return next({
        ...input,
        workflowStartOptions: start(input.workflowType, input.workflowStartOptions),
        updateOptions: { ...input.updateOptions, updateId },
        updateArgs: update(input.updateName, updateId, input.updateArgs),
      });
    },
  };
}
