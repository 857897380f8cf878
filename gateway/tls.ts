/** Certificates from a directory: one for each host name, taken over again when its files change. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { createSecureContext } from "node:tls";

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
  /** Least time between two replacements of certificates in use; default 600,000. */
  readonly replaceMs?: number;
}

const RELOAD_MS = 10_000;
const REPLACE_MS = 600_000;

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
    // A file that vanishes while we look is one that is being replaced: the next look finds it.
    if (!fingerprint.includes(GONE)) found.set(host, { host, certificateFile, keyFile, fingerprint });
  }
  return found;
}

/** @throws When there is no certificate for clients that name no host. */
export function defaultCertificate(certificates: ReadonlyMap<string, Certificate>): Certificate {
  const certificate = certificates.get(DEFAULT_NAME);
  if (!certificate) throw new Error("the certificate directory needs default.pem and default.key");
  return certificate;
}

const GONE = "gone";

function fileVersion(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found ? `${found.mtimeMs}-${found.size}-${found.ino}` : GONE;
}

/** @throws When the files cannot be read, are no PEM, or the key is another certificate's. */
export function checkCertificate({ certificateFile, keyFile }: Certificate): void {
  const cert = readFileSync(certificateFile);
  const key = readFileSync(keyFile);
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) {
    throw new Error("the key does not belong to the certificate");
  }
  createSecureContext({ cert, key }); // the chain behind the first certificate
}

/** What the server does with certificates. */
export interface CertificateUser {
  /** A host that had none. */
  add(certificate: Certificate): void;
  /** Some that were in use have changed or are gone: from now on these are all, the default one among them. */
  replace(certificates: ReadonlyMap<string, Certificate>): void;
}

/**
 * Keeps the server's certificates as the directory has them. Files that make no certificate (half written, a key that
 * belongs to the one before) cost their own host and no other: it keeps the certificate it has.
 */
export class CertificateWatcher {
  readonly #directory: string;
  readonly #user: CertificateUser;
  readonly #logger: { warn(details: object, message: string): void };
  readonly #timer: NodeJS.Timeout;
  readonly #replaceMs: number;
  #replacedAtMs = Number.NEGATIVE_INFINITY;
  #inUse: ReadonlyMap<string, Certificate>;
  /** Fingerprints of files that make no certificate: looked into and logged once. */
  #unusable: ReadonlyMap<string, string> = new Map();

  /**
   * @param given The default certificate, which the server has already.
   * @throws When the directory cannot be read.
   */
  constructor(
    options: TlsOptions,
    given: Certificate,
    user: CertificateUser,
    logger: { warn(details: object, message: string): void },
  ) {
    this.#directory = options.directory;
    this.#user = user;
    this.#logger = logger;
    this.#replaceMs = options.replaceMs ?? REPLACE_MS;
    this.#inUse = new Map([[given.host, given]]);
    this.#apply(listCertificates(this.#directory));
    this.#timer = setInterval(() => this.reload(), options.reloadMs ?? RELOAD_MS);
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
    const sound = this.#soundOnes(found);
    const isChanged = ({ host, fingerprint }: Certificate) => sound.get(host)?.fingerprint !== fingerprint;
    // What cannot be read any more is kept as it is, unless the host itself has gone.
    const changed = [...this.#inUse.values()].some((known) =>
      found.has(known.host) ? sound.has(known.host) && isChanged(known) : known.host !== DEFAULT_NAME,
    );
    if (changed && sound.has(DEFAULT_NAME) && performance.now() - this.#replacedAtMs >= this.#replaceMs) {
      this.#replacedAtMs = performance.now();
      this.#inUse = sound;
      this.#user.replace(sound);
      return;
    }
    const added = [...sound.values()].filter(({ host }) => !this.#inUse.has(host));
    if (added.length === 0) return;
    this.#inUse = new Map([...this.#inUse, ...added.map((certificate) => [certificate.host, certificate] as const)]);
    for (const certificate of added) this.#user.add(certificate);
  }

  #soundOnes(found: ReadonlyMap<string, Certificate>): ReadonlyMap<string, Certificate> {
    const sound = new Map<string, Certificate>();
    const unusable = new Map<string, string>();
    for (const [host, certificate] of found) {
      const { fingerprint } = certificate;
      if (this.#inUse.get(host)?.fingerprint === fingerprint) {
        sound.set(host, certificate);
      } else if (this.#unusable.get(host) === fingerprint) {
        unusable.set(host, fingerprint);
      } else {
        try {
          checkCertificate(certificate);
          sound.set(host, certificate);
        } catch (error) {
          unusable.set(host, fingerprint);
          this.#logger.warn({ host, reason: (error as Error).message }, "a certificate cannot be used");
        }
      }
    }
    this.#unusable = unusable;
    return sound;
  }
}
