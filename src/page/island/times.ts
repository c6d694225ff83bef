import { ago, shortDuration } from '../text.ts';

/** `4 min ago` goes on by itself, by the server's clock. */
export function refreshTimes(now: number): void {
  for (const time of document.querySelectorAll<HTMLTimeElement>('main time[datetime]:not([data-exact])')) {
    const text = time.dataset.running === undefined ? ago(time.dateTime, now) : shortDuration(now - Date.parse(time.dateTime));
    if (time.textContent !== text && time.firstChild instanceof Text) time.firstChild.data = text;
  }
}
