import bcrypt from "bcryptjs";
import { expect, test, vi } from "vitest";
import { hashPassword, isSupportedHash, verifyPassword } from "./password-hash.ts";
import { unknownPasswordHash } from "./unknown-password.ts";

test("a password is verified against its own hash alone, at bcrypt cost 10", () => {
  const hash = hashPassword("correct horse");
  expect(hash).toMatch(/^\$2[ab]\$10\$/);
  expect(verifyPassword("correct horse", hash)).toBe(true);
  expect(verifyPassword("battery staple", hash)).toBe(false);
});

test("a cheaper hash is compared with as much work as one of ours: the time must not tell whose it is", () => {
  const hashed = vi.spyOn(bcrypt, "hashSync");
  const cheap = bcrypt.hashSync("one-time", 4);
  expect(verifyPassword("one-time", cheap)).toBe(true);
  expect(verifyPassword("guess", cheap)).toBe(false);
  expect(hashed.mock.calls.slice(1)).toEqual([
    ["one-time", 10],
    ["guess", 10],
  ]);
  hashed.mockClear();
  verifyPassword("guess", hashPassword("ours"));
  expect(hashed).toHaveBeenCalledTimes(1); // by hashPassword
  hashed.mockRestore();
});

test("bcrypt hashes of other writers are read", () => {
  // The first vector of crypt_blowfish.
  const vector = "$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
  for (const prefix of ["$2a", "$2b", "$2y"]) expect(verifyPassword("U*U", prefix + vector)).toBe(true);
});

test("argon2id and argon2i hashes are read", () => {
  // argon2 reference command: echo -n password | argon2 somesalt -t 2 -m 16 -p 1 (m = 65536)
  const argon2i = "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA";
  const argon2id = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
  expect(verifyPassword("password", argon2i)).toBe(true);
  expect(verifyPassword("password", argon2id)).toBe(true);
  expect(verifyPassword("Password", argon2id)).toBe(false);
});

test("Firebase's scrypt hashes are read", () => {
  // The example of Firebase's own scrypt repository.
  const hash =
    "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==" +
    "$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==";
  expect(verifyPassword("user1password", hash)).toBe(true);
  expect(verifyPassword("user2password", hash)).toBe(false);
});

test.each([
  "",
  "plain",
  "$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
  "$2b$15$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
  "$2b$10$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe",
  "$argon2id$v=19$m=1048576,t=20,p=16$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
  "$argon2id$v=19$m=65536,t=99,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
  "$argon2d$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
  "$fbscrypt$v=1,n=30,r=8,p=1,ss=Bw==,sk=AAAA$42xEC+ixf3L2lw==$AAAA",
])("%s is refused before any work is done", (hash) => {
  expect(isSupportedHash(hash)).toBe(false);
  expect(verifyPassword("password", hash)).toBe(false);
});

test("the hash of an unknown password has the form of any other, and matches nothing one would try", () => {
  const hash = unknownPasswordHash();
  expect(isSupportedHash(hash)).toBe(true);
  expect(verifyPassword("", hash)).toBe(false);
  expect(unknownPasswordHash()).not.toBe(hash);
});
