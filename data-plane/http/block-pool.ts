/**
 * Memory for the pieces of large bodies, used again and again. A piece in a buffer of its own is only given back by the
 * next full collection, and nothing hurries that: an upload of 2 GB had the process grow by one.
 */

interface BlockSize {
  readonly bytes: number;
  /** Smaller pieces would waste too much of a block. */
  readonly least: number;
  readonly maxFree: number;
  readonly free: Buffer[];
}

const KIB = 1024;

/** The server library reads 512 KiB at most; most senders write 64 KiB at a time. */
const SIZES: readonly BlockSize[] = [
  { bytes: 64 * KIB, least: 4 * KIB, maxFree: 256, free: [] },
  { bytes: 512 * KIB, least: 64 * KIB, maxFree: 32, free: [] },
];

/** A block for a piece of this length; null when it gets memory of its own. */
export function takeBlock(bytes: number): Buffer | null {
  const size = SIZES.find((candidate) => bytes <= candidate.bytes);
  if (!size || bytes < size.least) return null;
  return size.free.pop() ?? Buffer.allocUnsafeSlow(size.bytes);
}

/** Nobody looks at it any more. */
export function giveBlock(block: Buffer): void {
  const size = SIZES.find((candidate) => block.length === candidate.bytes);
  if (size && size.free.length < size.maxFree) size.free.push(block);
}
