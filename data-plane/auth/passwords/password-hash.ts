/**
 * Password hashes in all formats that accounts may carry: bcrypt (written by us), argon2 and Firebase's scrypt (imported).
 * A hash comes from a tenant, who may write any text into it. So its cost is read and bounded before any work is done:
 * `$2b$31$…` alone would keep a core busy for days.
 */
import { createCipheriv, scryptSync, timingSafeEqual } from "node:crypto";
import { argon2i, argon2id } from "@noble/hashes/argon2.js";
import bcrypt from "bcryptjs";

const BCRYPT_COST = 10;
const MAX_BCRYPT_COST = 14;
/** Argon2 in JavaScript: about 150 ms for each 64 MiB pass. */
const MAX_ARGON2_KIB = 64 * 1024;
const MAX_ARGON2_KIB_PASSES = 4 * MAX_ARGON2_KIB;
const MAX_SCRYPT_BYTES = 64 * 1024 * 1024;

type ParsedHash =
  | { readonly kind: "bcrypt"; readonly cost: number }
  | {
      readonly kind: "argon2";
      readonly derive: typeof argon2id;
      readonly memoryKib: number;
      readonly passes: number;
      readonly lanes: number;
      readonly salt: Buffer;
      readonly hash: Buffer;
    }
  | {
      readonly kind: "firebase-scrypt";
      readonly cost: number;
      readonly blockSize: number;
      readonly parallelization: number;
      readonly saltSeparator: Buffer;
      readonly signerKey: Buffer;
      readonly salt: Buffer;
      readonly hash: Buffer;
    };

/** True when {@link verifyPassword} can check passwords against this text at an acceptable cost. */
export const isSupportedHash = (hash: string): boolean => parseHash(hash) !== null;

/** bcrypt at cost 10. Blocks for about 75 ms: for worker threads. */
export const hashPassword = (password: string): string => bcrypt.hashSync(password, BCRYPT_COST);

/** False also for a hash of unknown format or excessive cost. Blocks: for worker threads. */
export function verifyPassword(password: string, hash: string): boolean {
  const parsed = parseHash(hash);
  switch (parsed?.kind) {
    case "bcrypt": {
      // bcrypt reads 72 bytes and would take any password that begins with the right ones.
      const matches = bcrypt.compareSync(password, hash) && Buffer.byteLength(password) <= 72;
      // Random one-time passwords and some imported ones have cheaper hashes: the time must not tell whose they are.
      if (parsed.cost < BCRYPT_COST) hashPassword(password);
      return matches;
    }
    case "argon2": {
      const { derive, memoryKib: m, passes: t, lanes: p, salt } = parsed;
      return isEqual(derive(password, salt, { m, t, p, dkLen: parsed.hash.length }), parsed.hash);
    }
    case "firebase-scrypt": {
      const { cost: N, blockSize: r, parallelization: p } = parsed;
      const salt = Buffer.concat([parsed.salt, parsed.saltSeparator]);
      const key = scryptSync(password, salt, 32, { N, r, p, maxmem: 2 * MAX_SCRYPT_BYTES });
      const cipher = createCipheriv("aes-256-ctr", key, Buffer.alloc(16));
      return isEqual(Buffer.concat([cipher.update(parsed.signerKey), cipher.final()]), parsed.hash);
    }
    case undefined:
      return false;
  }
}

function isEqual(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}

function parseHash(text: string): ParsedHash | null {
  if (text.startsWith("$argon2")) return parseArgon2(text);
  if (text.startsWith("$fbscrypt$")) return parseFirebaseScrypt(text);
  const cost = Number(/^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(text)?.[1]);
  return cost >= 4 && cost <= MAX_BCRYPT_COST ? { kind: "bcrypt", cost } : null;
}

function parseArgon2(text: string): ParsedHash | null {
  const match = /^\$argon2(i|id)\$v=19\$m=(\d{1,9}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/.exec(
    text,
  );
  if (!match) return null;
  const [memoryKib, passes, lanes] = [Number(match[2]), Number(match[3]), Number(match[4])];
  const [salt, hash] = [Buffer.from(match[5] ?? "", "base64"), Buffer.from(match[6] ?? "", "base64")];
  const isSane = passes >= 1 && lanes >= 1 && lanes <= 16 && memoryKib >= 8 * lanes && salt.length >= 8;
  const isAffordable = memoryKib <= MAX_ARGON2_KIB && memoryKib * passes <= MAX_ARGON2_KIB_PASSES;
  if (!isSane || !isAffordable || hash.length < 4 || hash.length > 128) return null;
  return { kind: "argon2", derive: match[1] === "i" ? argon2i : argon2id, memoryKib, passes, lanes, salt, hash };
}

function parseFirebaseScrypt(text: string): ParsedHash | null {
  const match =
    /^\$fbscrypt\$v=1,n=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2}),ss=([\w+/-]*=*),sk=([\w+/-]+=*)\$([\w+/-]+=*)\$([\w+/-]+=*)$/.exec(
      text,
    );
  if (!match) return null;
  const [cost, blockSize, parallelization] = [2 ** Number(match[1]), Number(match[2]), Number(match[3])];
  const memory = 128 * cost * blockSize * parallelization;
  if (cost < 2 || memory === 0 || memory > MAX_SCRYPT_BYTES) return null;
  const [saltSeparator, signerKey, salt, hash] = match.slice(4).map((part) => Buffer.from(part, "base64"));
  if (!saltSeparator || !signerKey || !salt || !hash) return null;
  return { kind: "firebase-scrypt", cost, blockSize, parallelization, saltSeparator, signerKey, salt, hash };
}
