/**
 * Headers that may be written to a socket as they are. A value with a line break in it would end the header early and
 * begin another one, or a body; so whoever writes a head takes a {@link HeaderList}, and lists are made here only.
 */

declare const isValid: unique symbol;

/** Names (lower-case) and values in turn, each valid by RFC 9110, 5.1 and 5.5. */
export type HeaderList = readonly string[] & { readonly [isValid]: true };

/** Source of a regular expression for a header's name. */
export const NAME_PATTERN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
/** Source of a regular expression for a header's value, blanks around it included. */
export const VALUE_PATTERN = "[\\t\\x20-\\x7e\\x80-\\uffff]*";

const NAME = new RegExp(`^${NAME_PATTERN}$`);
const VALUE = new RegExp(`^${VALUE_PATTERN}$`);

/** Whether a text may stand in a head: a header's value, or a reason phrase. */
export function isHeaderValue(value: string): boolean {
  return VALUE.test(value);
}

/**
 * @param parts Names (lower-case) and values in turn.
 * @throws {TypeError} for a header that cannot be sent, with its name.
 */
export function headerList(parts: readonly string[]): HeaderList {
  for (let index = 0; index < parts.length; index += 2) {
    const name = parts[index] as string;
    if (!NAME.test(name) || !VALUE.test(parts[index + 1] as string)) {
      throw new TypeError(`header cannot be sent: ${JSON.stringify(name)}`);
    }
  }
  return parts as unknown as HeaderList;
}

/**
 * For parts that have been checked: taken out of a text that matched {@link NAME_PATTERN} and {@link VALUE_PATTERN} as
 * a whole, or put together from lists and constants. Saves the hot path a second look.
 */
export function checkedHeaderList(parts: readonly string[]): HeaderList {
  return parts as unknown as HeaderList;
}
