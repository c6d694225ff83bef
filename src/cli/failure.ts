/** Exit codes of the `landfall` command. */
export const exitCodes = { fine: 0, refused: 1, usage: 2 } as const;

/** The command cannot do what was asked; the message says why and what to do. */
export class CommandFailure extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = exitCodes.refused, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CommandFailure';
    this.exitCode = exitCode;
  }
}

/** It was asked in the wrong way. */
export class UsageFailure extends CommandFailure {
  constructor(message: string) {
    super(message, exitCodes.usage);
    this.name = 'UsageFailure';
  }
}
