/** Names one request through gateway, services and logs. */
import { randomBytes } from "node:crypto";

const ACCEPTED = /^[A-Za-z0-9._:-]{1,128}$/;

/** Ids are unique over processes and restarts, not secret: a random part per process and a counter. */
export function createRequestIds(): (fromClient: string) => string {
  const prefix = randomBytes(9).toString("base64url");
  let count = 0;
  return (fromClient) => {
    if (fromClient !== "" && ACCEPTED.test(fromClient)) return fromClient;
    count += 1;
    return `${prefix}-${count.toString(36)}`;
  };
}
