/** The Server-Timing header: how long each step of a request took, in milliseconds. */
import type { Header } from "./error.ts";

export type Step = "jwt" | "parse" | "plan" | "transaction";

export class Timings {
  readonly #steps: string[] = [];
  #last = performance.now();

  /** The step that was going on is over. */
  end(step: Step): void {
    this.#steps.push(this.#entry(step));
  }

  /** Counts what came after the last step as making the response; failed requests have no timings. */
  headers(draft: { readonly status: number }): readonly Header[] {
    if (draft.status >= 400) return [];
    return [["Server-Timing", [...this.#steps, this.#entry("response")].join(", ")]];
  }

  #entry(name: string): string {
    const now = performance.now();
    const duration = now - this.#last;
    this.#last = now;
    return `${name};dur=${duration.toFixed(1)}`;
  }
}
