/** Whatever comes to the front door of JWTs: it answers, and takes what was signed, nothing else. */
import * as fc from "fast-check";
import { unsafeDecodeJwt } from "symbolon/jwt";
import { beforeAll, describe, expect, it } from "vitest";
import { type ManagerDoor, managerDoor, SIGNING } from "../support/jwt-doors.ts";
import { partOf } from "../support/jwt-forge.ts";
import { propertyOptions } from "./seed.ts";

const SIGNATURE = partOf("signature");

/** What the front door reads of claims, whoever signed them. */
function read(claims: string | Uint8Array): unknown {
  return unsafeDecodeJwt(`${partOf("{}")}.${partOf(claims)}.${SIGNATURE}`)?.payload ?? null;
}

describe("claims of any JSON", () => {
  const object = fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue({ maxDepth: 6, stringUnit: "grapheme" }), {
    noNullPrototype: true,
    maxKeys: 8,
  });

  it("are read as JSON.parse reads them, in whatever spelling", () => {
    fc.assert(
      fc.property(object, fc.constantFrom(undefined, 1, "\t"), fc.boolean(), (value, indent, isEscaped) => {
        const plain = JSON.stringify(value, null, indent);
        fc.pre(!plain.includes("__proto__") && plain.length < 5000);
        const json = isEscaped ? plain.replaceAll(/[^\n\t -~]/g, escaped) : plain;
        fc.pre(json.length < 5000);
        expect(read(json)).toEqual(JSON.parse(json));
      }),
      { numRuns: 500, ...propertyOptions() },
    );
  });

  it("are refused when any object in them has a name twice", () => {
    fc.assert(
      fc.property(object, fc.string({ unit: "grapheme" }), fc.nat(), fc.boolean(), (value, name, place, isEscaped) => {
        const json = JSON.stringify({ ...value, x: { y: {} } });
        const ends = Array.from(json.matchAll(/\}/g), ({ index }) => index);
        const end = ends[place % ends.length] as number;
        const again = isEscaped ? `"${escaped(name)}"` : JSON.stringify(name);
        const isBehind = json[end - 1] !== "{";
        const more = `${isBehind ? "," : ""}${JSON.stringify(name)}:1,${again}:2`;
        const written = json.slice(0, end) + more + json.slice(end);
        fc.pre(!hasBraceInText(json) && written.length < 5000);
        expect(read(written)).toBeNull();
      }),
      { numRuns: 500, ...propertyOptions() },
    );
  });

  it("are read or refused, never anything else, whatever their bytes are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom("", '{"a":', '{"a":"'), (bytes, before) => {
        const found = read(Buffer.concat([Buffer.from(before), bytes]));
        expect(found === null || typeof found === "object").toBe(true);
      }),
      { numRuns: 500, ...propertyOptions() },
    );
  });
});

describe.each(SIGNING)("a manager of %s", (alg) => {
  let door: ManagerDoor;
  beforeAll(async () => {
    door = await managerDoor(alg, "pair");
  });

  it("opens nothing by a genuine token with any bytes of it changed, taken out or put in", async () => {
    const { token } = door.stage;
    expect(await door.jwts.userOf(token)).toBe("user-1");
    door.calls.length = 0;
    const part = fc.string({ unit: fc.constantFrom(...Array.from(`${token}.=+/ \n`)), maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(fc.nat(token.length), fc.nat(20), part, async (at, length, put) => {
        const changed = token.slice(0, at) + put + token.slice(at + length);
        fc.pre(changed !== token);
        expect(await door.jwts.userOf(changed)).toBeNull();
      }),
      { numRuns: 300, ...propertyOptions() },
    );
    expect([door.calls, door.heard]).toEqual([[], []]);
  });

  it("opens nothing by any text or value that is no token", async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.anything()), async (value) => {
        expect(await door.jwts.inspect(value as string)).toMatchObject({ ok: false });
        expect(unsafeDecodeJwt(value as string)).toBeNull();
      }),
      { numRuns: 500, ...propertyOptions() },
    );
    expect(door.calls).toEqual([]);
  });
});

/** A text as escapes, one for each half of a character. */
function escaped(text: string): string {
  return Array.from(
    { length: text.length },
    (_, at) => String.raw`\u${text.charCodeAt(at).toString(16).padStart(4, "0")}`,
  ).join("");
}

/** Whether a brace may be part of a text, and so no end of an object. */
function hasBraceInText(json: string): boolean {
  return json.replaceAll(/"(?:[^"\\]|\\.)*"/g, "").split("}").length !== json.split("}").length;
}
