/** Certificates from a directory: one for each host name, taken over again when its files change. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

export interface Certificate {
  /** Host name as clients send it (SNI); `*.example.com` for every label in front of it. */
  readonly host: string;
  /** PEM: the certificate and its chain. */
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Changes whenever a file does. */
  readonly fingerprint: string;
}

export interface TlsOptions {
  /**
   * Holds `<host>.pem` and `<host>.key`; in the file name of a wildcard `_` stands for the star. `default.pem` and
   * `default.key` are for clients that name no host, or one without a certificate.
   */
  readonly directory: string;
  /** How often the directory is looked at; default 10,000. */
  readonly reloadMs?: number;
}

const DEFAULT_NAME = "default";

/** Pairs of files in the directory; a certificate whose key is missing is left out. @throws When it cannot be read. */
export function listCertificates(directory: string): ReadonlyMap<string, Certificate> {
  const names = new Set(readdirSync(directory));
  const found = new Map<string, Certificate>();
  for (const name of names) {
    if (!name.endsWith(".pem")) continue;
    const stem = name.slice(0, -".pem".length);
    if (!names.has(`${stem}.key`)) continue;
    const certificateFile = join(directory, name);
    const keyFile = join(directory, `${stem}.key`);
    const host = stem.startsWith("_.") ? `*${stem.slice(1)}` : stem.toLowerCase();
    const fingerprint = [certificateFile, keyFile].map(fileVersion).join();
    found.set(host, { host, certificateFile, keyFile, fingerprint });
  }
  return found;
}

/** @throws When there is no certificate for clients that name no host. */
export function defaultCertificate(certificates: ReadonlyMap<string, Certificate>): Certificate {
  const certificate = certificates.get(DEFAULT_NAME);
  if (!certificate) throw new Error("the certificate directory needs default.pem and default.key");
  return certificate;
}

function fileVersion(path: string): string {
  const { mtimeMs, size, ino } = statSync(path);
  return `${mtimeMs}-${size}-${ino}`;
}

/** What the server does with a host's certificate. */
export interface CertificateUser {
  add(certificate: Certificate): void;
  remove(host: string): void;
}

/** Keeps the server's certificates as the directory has them; the default one is read at the start only. */
export class CertificateWatcher {
  readonly #directory: string;
  readonly #user: CertificateUser;
  readonly #logger: { warn(details: object, message: string): void };
  readonly #timer: NodeJS.Timeout;
  #inUse: ReadonlyMap<string, Certificate> = new Map();

  /** @throws When the directory cannot be read. */
  constructor(options: TlsOptions, user: CertificateUser, logger: { warn(details: object, message: string): void }) {
    this.#directory = options.directory;
    this.#user = user;
    this.#logger = logger;
    this.#apply(listCertificates(this.#directory));
    this.#timer = setInterval(() => this.reload(), options.reloadMs ?? 10_000);
    this.#timer.unref();
  }

  /** A directory that cannot be read at the moment changes nothing. */
  reload(): void {
    try {
      this.#apply(listCertificates(this.#directory));
    } catch (error) {
      this.#logger.warn({ err: error }, "the certificate directory cannot be read");
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #apply(found: ReadonlyMap<string, Certificate>): void {
    for (const [host, before] of this.#inUse) {
      if (found.get(host)?.fingerprint !== before.fingerprint && host !== DEFAULT_NAME) this.#user.remove(host);
    }
    for (const [host, certificate] of found) {
      const before = this.#inUse.get(host);
      if (before?.fingerprint !== certificate.fingerprint && host !== DEFAULT_NAME) this.#user.add(certificate);
    }
    this.#inUse = found;
  }
}
