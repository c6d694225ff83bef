/** What Landfall is to achieve. */
export const targets = {
  /** From the push to its proposal: p95. */
  proposedSeconds: 15 * 60,
  /** Of what ended well or badly. */
  successShare: 0.95,
  /** At most. */
  personShare: 0.1,
} as const;
