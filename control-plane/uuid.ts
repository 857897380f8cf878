const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Ids arrive as any text; what is no UUID names nothing, and must not become a database error. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}
