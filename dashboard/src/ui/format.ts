/** Numbers, sizes, times and counts as people read them; numbers and dates follow the browser's locale. */

const locale = safeLocale();

/** Headless browsers may call their language `en-US@posix`, which Intl refuses. */
export function safeLocale(): string {
  try {
    return new Intl.NumberFormat(navigator.language).resolvedOptions().locale;
  } catch {
    return "en-US";
  }
}

export function formatNumber(value: number): string {
  return new Intl.NumberFormat(locale).format(value);
}

/** `14 MB`, `1.2 GB`: powers of 1024, as PostgreSQL counts. */
export function formatBytes(bytes: number): string {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit > 0 && value < 10 ? 1 : 0;
  return `${new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value)} ${units[unit]}`;
}

/** `1 project`, `3 projects`: the one place where plurals are made. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatNumber(count)} ${count === 1 ? one : many}`;
}

const STEPS = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
] as const;

/** `2 min ago`, `just now`, `in 3 days`. */
export function formatAgo(date: Date, now = Date.now()): string {
  const seconds = Math.round((date.getTime() - now) / 1000);
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) < length) continue;
    const relative = new Intl.RelativeTimeFormat(locale, { style: "short", numeric: "always" });
    return relative.format(Math.trunc(seconds / length), unit);
  }
  return "just now";
}

export function formatDateTime(date: Date): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" }).format(date);
}

/** Control and direction characters of a hostile name become visible: they must not rearrange what stands beside. */
export function visible(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
