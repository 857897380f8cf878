/** One project's share of a pool's connections. */
export interface ConnectionShare<Connection> {
  readonly key: string;
  /** How many connections carry its requests now. */
  held: number;
  /** Those of them on which more GETs may follow. */
  readonly open: Connection[];
}
