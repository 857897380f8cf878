/** PostgreSQL's settings for a machine that holds many small databases. Given on the command line, so nothing overrides them. */

/** Names and values as in postgresql.conf. */
export type PostgresSettings = Readonly<Record<string, string | number>>;

/** @param major some settings are newer than others. */
export function embeddedSettings(port: number, major: number): PostgresSettings {
  return {
    port,
    cluster_name: "supalove",
    // TCP on loopback alone: who may come in is then a matter of pg_hba.conf and scram, for every user of the machine.
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    password_encryption: "scram-sha-256",

    // A project gets 30 at most (project-database.ts), so it takes many of them to leave none. An unused place costs some
    // kilobytes of shared memory.
    max_connections: 500,
    // Tenants may fill the others; the control plane, a superuser, must still get in to pause them.
    superuser_reserved_connections: 40,
    // Room for migrations of thousands of tables; who holds more while the table fills is ended by the cluster's watch.
    max_locks_per_transaction: 256,
    // 1 GB of disk instead of 8 for notifications that a listener keeps from being removed.
    ...(major >= 17 ? { max_notify_queue_pages: 131_072 } : {}),
    // After a crash the file system is told to write once, instead of opening each of a million files.
    ...(process.platform === "linux" ? { recovery_init_sync_method: "syncfs" } : {}),
    // Finds out that a client is gone while its query still runs.
    client_connection_check_interval: "10s",
    tcp_keepalives_idle: 60,

    // Memory is touched as it is used; the operating system's cache does the rest.
    shared_buffers: "64MB",
    huge_pages: "off",
    work_mem: "4MB",
    maintenance_work_mem: "64MB",
    // No worker processes that idle: reading in the backend is what a small machine does best.
    ...(major >= 18 ? { io_method: "sync" } : {}),
    max_parallel_workers_per_gather: 0,
    // Compiling a query costs more than these queries take.
    jit: "off",
    // One tenant's sort must not fill the disk of all.
    temp_file_limit: "4GB",

    // Every project sees its own statements (extensions.pg_stat_statements); not what a utility statement says.
    shared_preload_libraries: "pg_stat_statements",
    "pg_stat_statements.track_utility": "off",

    wal_level: "logical",
    max_wal_senders: 30,
    max_replication_slots: 30,
    // A slot that nobody reads would keep WAL for ever.
    max_slot_wal_keep_size: "1GB",
    max_wal_size: "1GB",
    // Nothing subscribes here; this spares the launcher.
    max_logical_replication_workers: 0,

    // The launcher visits each database that was used once in this time: with hundreds of them a minute would be a
    // new process every few moments.
    autovacuum_naptime: "5min",
    autovacuum_max_workers: 2,

    timezone: "UTC",
    log_timezone: "UTC",
    log_line_prefix: "%m [%p] %q%d ",
    // Errors of tenants are answered to tenants. Statement texts may hold secrets (`alter role … password`).
    log_min_messages: "log",
    log_min_error_statement: "panic",
    log_statement: "none",
    log_min_duration_statement: -1,
    log_error_verbosity: "terse",
    log_checkpoints: "off",
    logging_collector: "off",
  };
}

/** Nobody comes in without a password, and nobody by another way than loopback. */
export const HBA_FILE = `# Written at every start.
# TYPE  DATABASE     USER  ADDRESS       METHOD
host    all          all   127.0.0.1/32  scram-sha-256
host    replication  all   127.0.0.1/32  scram-sha-256
`;

export function settingArguments(settings: PostgresSettings): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

/**
 * Address space of each of PostgreSQL's processes. No setting bounds what a session keeps in variables: beyond this it gets
 * `out of memory`, and nobody else notices. Without it one session takes gigabytes, the kernel kills it, and PostgreSQL ends
 * all others, as it must when a process dies with its hands in shared memory. A process begins with some 300 MB of it.
 */
export const MAX_PROCESS_BYTES = 1.5 * 1024 ** 3;

/** The command that starts PostgreSQL within that bound; where a system knows no such limit it starts without. */
export function boundedCommand(program: string, args: readonly string[]): [command: string, args: string[]] {
  const script = `ulimit -v ${MAX_PROCESS_BYTES / 1024} 2>/dev/null; exec "$0" "$@"`;
  return ["/bin/sh", ["-c", script, program, ...args]];
}
