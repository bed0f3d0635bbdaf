/** Carries a token and a record in one cookie, or in several where one would be too long for browsers. */
import type { CookieOptions } from "../core/options.ts";
import { DataTooLargeError } from "../errors.ts";
import { cookieCarrier, type HeaderSource, type SessionCarrier } from "./carrier.ts";
import { MAX_COOKIE_BYTES, readCookie } from "./cookie.ts";

/** The first cookie: token, how many cookies there are in all, and the beginning of the record. */
const FIRST = /^([\w-]{1,100})\.([1-9])\.([\w-]*)$/;

/** More would not fit into the 16 KiB that Node and most proxies take as a request's headers. */
const MAX_COOKIES = 3;

/** Room for the token, the count and their dots in the first cookie; and for a longer name in those that follow. */
const TOKEN_ROOM = 100;
const NAME_ROOM = 2;

/** How many characters of a record fit in all. */
export function roomFor(name: string): number {
  return MAX_COOKIES * roomIn(name) - TOKEN_ROOM;
}

function roomIn(name: string): number {
  return MAX_COOKIE_BYTES - name.length - NAME_ROOM;
}

/**
 * Makes the carrier. The cookies after the first are called as it with `.1` and `.2` at the end, and have the same
 * attributes. What a record has no use for any more is deleted with the next response.
 *
 * @throws as `cookieCarrier`; `set` throws {DataTooLargeError} for more than three cookies hold.
 */
export function chunkedCarrier(options: CookieOptions | undefined, development: boolean): SessionCarrier {
  const first = cookieCarrier(options, development);
  const { name } = first;
  const others = Array.from({ length: MAX_COOKIES - 1 }, (_, index) =>
    cookieCarrier({ ...options, name: `${name}.${index + 1}` }, development),
  );

  /** The cookies after so many that the request brought. */
  function surplus(count: number, headers: HeaderSource): string[] {
    const cookie = headers.get("cookie");
    const brought = others.slice(count - 1).filter((other) => readCookie(cookie, other.name).kind !== "none");
    return brought.map((other) => other.clear());
  }

  return {
    name,
    persistent: first.persistent,

    read(headers) {
      const reading = first.read(headers);
      if (reading.kind !== "value") return reading;
      const [, token = reading.value, count = "1", begin = ""] = FIRST.exec(reading.value) ?? [];
      let carried = begin;
      for (const other of others.slice(0, Number(count) - 1)) {
        const more = other.read(headers);
        if (more.kind === "ambiguous") return more;
        // One that is missing makes a text that does not open.
        if (more.kind === "value") carried += more.value;
      }
      return { kind: "value", token, carried };
    },

    set({ token, carried = "" }, headers, maxAgeSeconds) {
      const room = roomIn(name);
      const pieces = [carried.slice(0, room - TOKEN_ROOM)];
      for (let at = room - TOKEN_ROOM; at < carried.length; at += room) pieces.push(carried.slice(at, at + room));
      if (pieces.length > MAX_COOKIES) throw tooLarge(name);
      const cookies = others.slice(0, pieces.length - 1);
      return [
        first.set(`${token}.${pieces.length}.${pieces[0]}`, maxAgeSeconds),
        ...cookies.map((other, index) => other.set(pieces[index + 1] ?? "", maxAgeSeconds)),
        ...surplus(pieces.length, headers),
      ];
    },

    clear: (headers) => [first.clear(), ...surplus(1, headers)],
  };
}

/** What to say of a session that no cookies can hold. */
export function tooLarge(name: string): DataTooLargeError {
  const bytes = Math.floor((roomFor(name) * 3) / 4);
  return new DataTooLargeError(`A sealed session has room for ${bytes} bytes, with roles and all that belongs to it.`);
}
