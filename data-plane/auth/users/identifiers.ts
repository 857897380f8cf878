/** E-mail addresses, phone numbers and ids as they come in. */
import { AuthError } from "../errors.ts";

const MAX_EMAIL_BYTES = 255;
/** The pattern of the HTML standard for `<input type=email>`: ASCII only, single-label domains allowed. */
const EMAIL =
  /^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$/;

/** The address in lower case. @throws {AuthError} `validation_failed`. */
export function parseEmail(text: string): string {
  if (text === "") throw new AuthError("validation_failed", "An email address is required");
  if (Buffer.byteLength(text) > MAX_EMAIL_BYTES) {
    throw new AuthError("validation_failed", "An email address is too long");
  }
  if (!EMAIL.test(text)) {
    throw new AuthError("validation_failed", "Unable to validate email address: invalid format");
  }
  return text.toLowerCase();
}

/** Digits without `+`, country code first. @throws {AuthError} `validation_failed`. */
export function parsePhone(text: string): string {
  const digits = text.replace(/^\+/, "").replaceAll(" ", "");
  if (!/^[1-9][0-9]{1,14}$/.test(digits)) {
    throw new AuthError("validation_failed", "Invalid phone number format (E.164 required)");
  }
  return digits;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export const isUuid = (text: string): boolean => UUID.test(text);

/** @param name as the path names it: `user_id`. @throws {AuthError} 404 `validation_failed`. */
export function parsePathId(text: string | undefined, name: string): string {
  if (!text || !isUuid(text)) {
    throw new AuthError("validation_failed", `${name} must be an UUID`, { status: 404 });
  }
  return text.toLowerCase();
}
