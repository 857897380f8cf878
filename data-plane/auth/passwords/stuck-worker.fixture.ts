/** Threads for tests that never finish some of their jobs. */

export const hash = (): Promise<never> => new Promise(() => {});

export function verify({ password }: { readonly password: string }): boolean | Promise<never> {
  return password === "stuck" ? new Promise(() => {}) : true;
}
