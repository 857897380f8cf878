/** Pieces of SQL that several statements share. */

/** A timestamp as JavaScript writes it: milliseconds, the rest cut off. */
export function isoTime(expression: string): string {
  return `to_char(${expression} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
}

/** A row of storage.objects as the API shows it; absent texts are empty. @param alias Of the row. */
export function objectJson(alias: string): string {
  const a = alias;
  return `jsonb_build_object('id', ${a}.id, 'name', ${a}.name, 'bucket_id', ${a}.bucket_id, 'owner', coalesce(${a}.owner::text, ''),
    'owner_id', coalesce(${a}.owner_id, ''), 'version', coalesce(${a}.version, ''), 'metadata', ${a}.metadata,
    'user_metadata', ${a}.user_metadata, 'created_at', ${isoTime(`${a}.created_at`)}, 'updated_at', ${isoTime(`${a}.updated_at`)},
    'last_accessed_at', ${isoTime(`${a}.last_accessed_at`)})`;
}
