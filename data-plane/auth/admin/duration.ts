/** Go's duration texts, which `ban_duration` is written in: `24h`, `1h30m`, `300ms`. */
const MILLISECONDS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
/** Go counts nanoseconds in 64 bits; more is an error there too. */
const MAX_MS = 2 ** 63 / 1e6;

/** Milliseconds, or null when the text is no duration. */
export function parseDurationMs(text: string): number | null {
  const [, sign, rest = ""] = /^([-+]?)(.*)$/s.exec(text) ?? [];
  if (rest === "0") return 0;
  const parts = [...rest.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([whole]) => whole).join("") !== rest) return null;
  const total = parts.reduce((sum, [, amount, unit = ""]) => sum + Number(amount) * (MILLISECONDS[unit] ?? 0), 0);
  if (total >= MAX_MS) return null;
  return sign === "-" ? -total : total;
}
