/** A decision that does not apply. The message says what was found, and what to do. */
export class DecisionRefused extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Refused';
  }
}
