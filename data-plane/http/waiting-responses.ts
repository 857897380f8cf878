/** Responses of which a client takes nothing: one timer looks after them all, and only while there are any. */

/** How late such a client may be noticed. */
const LOOK_MS = 100;

export interface WaitingResponse {
  /** When it began to wait for its client. Milliseconds of performance.now(). */
  readonly waitingSinceMs: number;
  readonly takeTimeoutMs: number;
  destroy(): void;
}

const waiting = new Set<WaitingResponse>();
let timer: NodeJS.Timeout | null = null;

/** The client has to take something before more can be sent. */
export function awaitClient(response: WaitingResponse): void {
  waiting.add(response);
  if (timer !== null) return;
  timer = setInterval(look, LOOK_MS);
  timer.unref();
}

/** It has taken something, or is gone. */
export function clientHasTaken(response: WaitingResponse): void {
  waiting.delete(response);
}

function look(): void {
  const nowMs = performance.now();
  for (const response of waiting) {
    if (nowMs - response.waitingSinceMs < response.takeTimeoutMs) continue;
    waiting.delete(response);
    response.destroy();
  }
  if (waiting.size > 0 || timer === null) return;
  clearInterval(timer);
  timer = null;
}
