/** The times that one window is about. Instants are milliseconds since 1970 UTC. */
export interface Times {
  contains(instant: number): boolean;
  /** The first instant from `from` on that is inside (or outside), and none after `limit`. */
  firstInside(from: number, limit: number): number | undefined;
  firstOutside(from: number, limit: number): number | undefined;
}
