/**
 * Times of rows, judged. PostgreSQL writes texts that JavaScript cannot read as times (`infinity`, years beyond 9999), and
 * comparisons with what could not be read are false whichever way they are written: so each question here says what holds
 * then, and it is always what lets nobody in.
 */

/** True when `afterMs` have passed since the time, and for a time that cannot be read. */
export function isOver(time: string, afterMs: number, now: Date): boolean {
  return !(now.getTime() <= Date.parse(time) + afterMs);
}

/** True while the time is still to come, and for a time that cannot be read. */
export function isStillAhead(time: string, now: Date): boolean {
  return !(Date.parse(time) <= now.getTime());
}

/** How long until `afterMs` have passed since the time; all of it for a time that cannot be read. Zero when they have. */
export function remainingMs(time: string, afterMs: number, now: Date): number {
  const since = Date.parse(time);
  return Number.isNaN(since) ? afterMs : Math.max(0, since + afterMs - now.getTime());
}
