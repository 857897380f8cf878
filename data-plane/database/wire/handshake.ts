/**
 * Opens a connection to a PostgreSQL server: socket, TLS when asked for, start-up message, authentication, until the
 * server is ready for the first query.
 * @see https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import type { DatabaseAddress } from "../../../control-plane/client/config-snapshot.ts";
import { ConnectionLost, DatabaseError } from "../database.ts";
import { FieldReader, MessageReader, ProtocolViolation, readErrorFields } from "./reader.ts";
import { type SaltedPasswords, SCRAM_MECHANISM, ScramExchange } from "./scram.ts";
import { MessageWriter, sslRequest } from "./writer.ts";

export interface HandshakeOptions {
  readonly address: DatabaseAddress;
  readonly connectTimeoutMs: number;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** Certificates are verified unless this says otherwise. */
  readonly tls: Pick<ConnectionOptions, "ca" | "cert" | "key" | "rejectUnauthorized"> | undefined;
  readonly saltedPasswords: SaltedPasswords;
  /** Further settings of the session, such as `{ idle_in_transaction_session_timeout: "60000" }`. */
  readonly settings: Readonly<Record<string, string>>;
}

/** A connection that is ready for queries, its socket paused and without listeners. */
export interface OpenedConnection {
  readonly socket: Socket;
  readonly processId: number;
  readonly secretKey: Buffer;
  /** What the server reported: `server_version`, `client_encoding`, `TimeZone` … */
  readonly parameters: Map<string, string>;
}

const AUTHENTICATION = { ok: 0, cleartext: 3, md5: 5, sasl: 10, saslContinue: 11, saslFinal: 12 } as const;

/** Messages before the first ReadyForQuery are short. */
const MAX_HANDSHAKE_MESSAGE_BYTES = 64 * 1024;

/** Target of `net.connect` for an address; a host that starts with `/` is the folder of a Unix socket. */
export function socketTarget(address: DatabaseAddress): { path: string } | { host: string; port: number } {
  return address.host.startsWith("/")
    ? { path: `${address.host}/.s.PGSQL.${address.port}` }
    : { host: address.host, port: address.port };
}

/**
 * @throws {DatabaseError} when the server refuses (wrong password, no such database, too many connections …).
 * @throws {ConnectionLost} when there is no server, it does not answer in time, or does not speak the protocol.
 */
export async function openConnection(options: HandshakeOptions): Promise<OpenedConnection> {
  const { address } = options;
  const plain = connect({ ...socketTarget(address), noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 });
  let socket: Socket = plain;
  plain.on("error", () => {}); // whoever waits hears of it by `once` or "close"; without a listener it would be thrown
  const timer = setTimeout(
    () => socket.destroy(new Error(`no answer within ${options.connectTimeoutMs} ms`)),
    options.connectTimeoutMs,
  );
  try {
    await once(plain, "connect");
    if (address.ssl) socket = await upgradeToTls(plain, options);
    return await startSession(socket, options);
  } catch (error) {
    socket.destroy();
    plain.destroy();
    if (error instanceof DatabaseError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConnectionLost(`could not connect to the database: ${reason}`, { cause: error, sent: false });
  } finally {
    clearTimeout(timer);
  }
}

async function upgradeToTls(plain: Socket, options: HandshakeOptions): Promise<Socket> {
  plain.write(sslRequest());
  const [answer] = (await once(plain, "data")) as [Buffer];
  plain.pause();
  // Anything after the one byte was injected before encryption began.
  if (answer.length !== 1 || answer[0] !== 0x53) throw new ProtocolViolation("the server does not offer TLS");
  const { host } = options.address;
  // The certificate is checked against `host`; as a server name only a name may be sent.
  const secure = connectTls({ ...options.tls, socket: plain, host, ...(isIP(host) ? {} : { servername: host }) });
  secure.on("error", () => {});
  await once(secure, "secureConnect");
  return secure;
}

function startSession(socket: Socket, options: HandshakeOptions): Promise<OpenedConnection> {
  const { address } = options;
  return new Promise((resolve, reject) => {
    const writer = new MessageWriter();
    const parameters = new Map<string, string>();
    let processId = 0;
    let secretKey: Buffer = Buffer.alloc(0);
    const authentication = new Authentication(address, options.saltedPasswords, "encrypted" in socket);

    const send = () => {
      for (const chunk of writer.take()) socket.write(chunk);
    };
    const finish = (settle: () => void) => {
      socket.off("data", onData).off("error", onError).off("close", onClose);
      socket.pause();
      settle();
    };
    const onError = (error: Error) => finish(() => reject(error));
    const onClose = () => onError(new Error("the server closed the connection"));
    const onMessage = (tag: number, buffer: Buffer, start: number, end: number) => {
      const fields = new FieldReader(buffer, start, end);
      switch (tag) {
        case 0x52: // AuthenticationXXX
          authentication.answer(fields).then((answer) => {
            if (!answer) return;
            writer.authentication(answer);
            send();
          }, onError);
          return;
        case 0x53: // ParameterStatus
          parameters.set(fields.cstring(), fields.cstring());
          return;
        case 0x4b: // BackendKeyData
          processId = fields.int32();
          secretKey = Buffer.from(fields.rest());
          return;
        case 0x45: // ErrorResponse
          return onError(databaseError(readErrorFields(fields), 0));
        case 0x5a: // ReadyForQuery
          if (!authentication.isDone) throw new ProtocolViolation("the server is ready before it has authenticated");
          return finish(() => resolve({ socket, processId, secretKey, parameters }));
        case 0x4e: // NoticeResponse
        case 0x76: // NegotiateProtocolVersion
          return;
        default:
          throw new ProtocolViolation(`unexpected message 0x${tag.toString(16)} while connecting`);
      }
    };
    const reader = new MessageReader(onMessage, MAX_HANDSHAKE_MESSAGE_BYTES);
    const onData = (chunk: Buffer) => {
      try {
        reader.feed(chunk);
      } catch (error) {
        onError(error as Error);
      }
    };
    socket.on("data", onData).on("error", onError).on("close", onClose);
    try {
      writer.startup({
        user: address.user,
        database: address.database,
        application_name: options.applicationName,
        client_encoding: "UTF8",
        ...options.settings,
      });
      send();
    } catch (error) {
      onError(error as Error);
    }
  });
}

/** Answers each AuthenticationXXX message in turn. */
class Authentication {
  readonly #address: DatabaseAddress;
  readonly #salted: SaltedPasswords;
  readonly #isEncrypted: boolean;
  readonly #scram = new ScramExchange();
  #scramState: "none" | "begun" | "verified" = "none";
  /** True once the server has said AuthenticationOk, and has proved itself where the method lets it. */
  isDone = false;

  constructor(address: DatabaseAddress, salted: SaltedPasswords, isEncrypted: boolean) {
    this.#address = address;
    this.#salted = salted;
    this.#isEncrypted = isEncrypted;
  }

  /** Body of the message to send, or null. Checks run before the first await, so that a later message sees them. */
  async answer(fields: FieldReader): Promise<Buffer | null> {
    const address = this.#address;
    const method = fields.int32();
    switch (method) {
      case AUTHENTICATION.ok:
        // A server that cuts the exchange short has not shown that it knows the password.
        if (this.#scramState === "begun") throw new ProtocolViolation("the server skipped its own proof");
        this.isDone = true;
        return null;
      case AUTHENTICATION.sasl: {
        const offered: string[] = [];
        for (let name = fields.cstring(); name !== ""; name = fields.cstring()) offered.push(name);
        if (!offered.includes(SCRAM_MECHANISM)) throw new ProtocolViolation("the server does not offer SCRAM-SHA-256");
        this.#scramState = "begun";
        const first = Buffer.from(this.#scram.clientFirst());
        const length = Buffer.alloc(4);
        length.writeInt32BE(first.length);
        return Buffer.concat([Buffer.from(`${SCRAM_MECHANISM}\0`), length, first]);
      }
      case AUTHENTICATION.saslContinue:
        return Buffer.from(await this.#scram.clientFinal(fields.rest().toString(), address.password, this.#salted));
      case AUTHENTICATION.saslFinal:
        this.#scram.verifyServerFinal(fields.rest().toString());
        this.#scramState = "verified";
        return null;
      case AUTHENTICATION.md5: {
        const inner = md5(Buffer.from(address.password + address.user));
        return Buffer.from(`md5${md5(Buffer.concat([Buffer.from(inner), fields.rest()]))}\0`);
      }
      case AUTHENTICATION.cleartext:
        // Whoever took over the server's port could ask for it.
        if (!this.#isEncrypted) throw new ProtocolViolation("the server asks for the bare password without TLS");
        return Buffer.from(`${address.password}\0`);
      default:
        throw new ProtocolViolation(`authentication method ${method} is not supported`);
    }
  }
}

function md5(bytes: Buffer): string {
  return createHash("md5").update(bytes).digest("hex");
}

/** Makes the error from an ErrorResponse's fields. */
export function databaseError(fields: Readonly<Record<string, string>>, statementIndex: number): DatabaseError {
  return new DatabaseError({
    message: fields.M ?? "unknown error",
    code: fields.C ?? "XX000",
    severity: fields.V ?? fields.S ?? "ERROR",
    detail: fields.D,
    hint: fields.H,
    position: fields.P === undefined ? undefined : Number(fields.P),
    schema: fields.s,
    table: fields.t,
    column: fields.c,
    constraint: fields.n,
    routine: fields.R,
    statementIndex,
  });
}
