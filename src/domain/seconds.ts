/** `0.4 s`, `12 s` */
export function formatSeconds(milliseconds: number): string {
  return `${milliseconds < 10_000 ? Math.round(milliseconds / 100) / 10 : Math.round(milliseconds / 1000)} s`;
}
