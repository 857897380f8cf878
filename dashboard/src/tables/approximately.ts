/** `≈ 1.2M` for what the planner believes; nothing for what it has never looked at. Pure. */
export function approximately(rows: number | null | undefined): string {
  if (rows === null || rows === undefined) return "";
  return `≈ ${new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 }).format(rows)}`;
}
