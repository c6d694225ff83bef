/** What Landfall uses of a pino logger: fields first, then the message. Code asks for the levels that it needs: `Pick<Log, 'warn'>`. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  fatal(fields: object, message: string): void;
}
