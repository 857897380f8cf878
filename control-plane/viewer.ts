/** Who asks. Null, where a viewer may be absent, is an anonymous request. */
import type { Audience } from "./client/config-snapshot.ts";

export type Viewer = AccountViewer | ServiceViewer;

export interface AccountViewer {
  readonly kind: "account";
  readonly accountId: string;
  readonly email: string;
  /** The first sign-up: administers clusters and acts as owner of every organization. */
  readonly isInstanceOwner: boolean;
  readonly tokenKind: "session" | "access-token";
  /** SHA-256 of the token: by it a long-lived subscription finds out that its credential was revoked. */
  readonly credentialHash: Buffer;
  /** Null for an access token without an end. */
  readonly expiresAt: Date | null;
}

/** A gateway or a data-plane process: reads config snapshots of its audience and nothing else. */
export interface ServiceViewer {
  readonly kind: "service";
  readonly audience: Audience;
  readonly name: string;
  /** SHA-256 of the token: by it the config feed finds out that the token was replaced or deleted. */
  readonly credentialHash: Buffer;
}
