/** What the threads of password-hashing.ts can do. The synchronous functions are right here: a thread has nothing else to do. */
import bcrypt from "bcryptjs";

export interface PasswordJobs {
  hash: typeof hash;
  verify: typeof verify;
}

export function hash({ password, cost }: { readonly password: string; readonly cost: number }): string {
  return bcrypt.hashSync(password, cost);
}

export function verify({ password, hash }: { readonly password: string; readonly hash: string }): boolean {
  return bcrypt.compareSync(password, hash);
}
