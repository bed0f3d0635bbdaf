import * as fc from "fast-check";
import { isIP } from "node:net";
import { describe, expect, it } from "vitest";
import { networkOf, normalAddress } from "../../src/core/address.ts";
import { connectionReader, type NodeRequest } from "../../src/frameworks/shared/node-request.ts";
import { forwardedFor } from "../../src/http/forwarded-for.ts";
import { propertyOptions } from "../property/seed.ts";

describe("a normal address", () => {
  it.each([
    ["203.0.113.9", "203.0.113.9"],
    ["0.0.0.0", "0.0.0.0"],
    ["::ffff:203.0.113.9", "203.0.113.9"],
    ["::FFFF:203.0.113.9", "203.0.113.9"],
    ["::ffff:cb00:7109", "203.0.113.9"],
    ["::ffff:0:9", "0.0.0.9"],
    ["0:0:0:0:0:FFFF:CB00:7109", "203.0.113.9"],
    ["0000:0000:0000:0000:0000:ffff:203.0.113.9", "203.0.113.9"],
    ["2001:DB8::0001", "2001:db8::1"],
    ["2001:db8:0:0:0:0:0:1", "2001:db8::1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::", "::"],
    ["::1", "::1"],
    ["fe80::1%eth0", "fe80::1"],
    ["::ffff:203.0.113.9%3", "203.0.113.9"],
    // Neither of these is the mapped form, so neither is an IPv4 address.
    ["::203.0.113.9", "::cb00:7109"],
    ["64:ff9b::203.0.113.9", "64:ff9b::cb00:7109"],
    ["::ffff:0:203.0.113.9", "::ffff:0:cb00:7109"],
  ])("of %s is %s", (text, normal) => {
    expect(normalAddress(text)).toBe(normal);
    expect(normalAddress(normal)).toBe(normal);
  });

  it.each<[unknown]>([
    [""],
    ["localhost"],
    ["203.0.113.9:443"],
    ["[2001:db8::1]"],
    ["[2001:db8::1]:443"],
    ["203.0.113.009"],
    ["0x7f.0.0.1"],
    ["127.1"],
    ["2130706433"],
    ["203.0.113.256"],
    ["203.0.113.9 "],
    [" 203.0.113.9"],
    ["203.0.113.9\n"],
    ["203.0.113.9\0"],
    ["203.0.113.0/24"],
    ["203.0.113.9%eth0"],
    ["1::2::3"],
    [":::"],
    ["fe80::1%"],
    ["fe80::1%]/@evil.example"],
    [`fe80::1%${"a".repeat(100_000)}`],
    ["1:2:3:4:5:6:7"],
    ["12345::"],
    ["٣.٠.١١٣.٩"],
    [null],
    [undefined],
    [3_405_803_785],
    [["203.0.113.9"]],
    [{ toString: () => "203.0.113.9" }],
  ])("is none in %j", (text) => {
    expect(normalAddress(text)).toBeNull();
  });

  it("is there for every address, once normal stays so, and is the same for equal addresses", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const normal = normalAddress(text) ?? "";
        expect(isIP(normal)).not.toBe(0);
        expect(normalAddress(normal)).toBe(normal);
        expect(normalAddress(text.toUpperCase())).toBe(normal);
      }),
      propertyOptions(),
    );
  });

  it("never throws", () => {
    const text = fc.oneof(fc.string(), fc.stringMatching(/^[\da-fF:.%[\]/]*$/));
    const anything = fc.oneof(text, fc.anything());
    fc.assert(
      fc.property(anything, (value) => void normalAddress(value)),
      propertyOptions(),
    );
  });
});

function networkOfGroups(prefix: readonly number[], rest: readonly number[]): string {
  const text = [...prefix, ...rest].map((group) => group.toString(16)).join(":");
  return networkOf(normalAddress(text) ?? "");
}

describe("a network", () => {
  it.each([
    ["203.0.113.9", "203.0.113.0/24"],
    ["0.0.0.0", "0.0.0.0/24"],
    ["255.255.255.255", "255.255.255.0/24"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8::/64"],
    ["2001:0:0:1::1", "2001:0:0:1::/64"],
    ["0:0:0:1::1", "0:0:0:1::/64"],
    ["1::2:3:4:5:6", "1:0:0:2::/64"],
    ["1:2:3:4:5:6:7:0", "1:2:3:4::/64"],
    ["::", "::/64"],
    ["::1", "::/64"],
    ["fe80::1:2:3:4", "fe80::/64"],
  ])("of %s is %s", (address, network) => {
    expect(networkOf(address)).toBe(network);
  });

  it("is the same for all addresses that share its bits, and for no other", () => {
    const groups = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(groups, groups, groups, (one, other, host) => {
        // The mapped addresses are IPv4, whose networks are others.
        fc.pre([one, other].every((prefix) => prefix.some((group) => group !== 0)));
        expect(networkOfGroups(one, host)).toBe(networkOfGroups(one, [0, 0, 0, 0]));
        expect(networkOfGroups(one, host) === networkOfGroups(other, host)).toBe(one.join() === other.join());
      }),
      propertyOptions(),
    );
  });
});

function isTrusted(address: string): boolean {
  return address.startsWith("10.") || address === "2001:db8::1";
}

describe("X-Forwarded-For", () => {
  it.each<[header: string | null, client: string | null]>([
    ["203.0.113.9", "203.0.113.9"],
    ["198.51.100.1, 203.0.113.9", "203.0.113.9"],
    ["198.51.100.1, 203.0.113.9, 10.0.0.1", "203.0.113.9"],
    ["198.51.100.1,203.0.113.9 ,\t10.0.0.1,2001:DB8:0::1", "203.0.113.9"],
    ["203.0.113.9:567", "203.0.113.9"],
    ["[2001:db8::2]:9, ::ffff:10.0.0.1", "2001:db8::2"],
    ["[2001:DB8::2]", "2001:db8::2"],
    ["[::ffff:203.0.113.9]:9", "203.0.113.9"],
    ["2001:db8::2", "2001:db8::2"],
    // Everybody is inside: the one who began.
    ["10.0.0.3, 10.0.0.2", "10.0.0.3"],
    // What stands left of something unreadable may be forged.
    ["203.0.113.9, unknown", null],
    ["203.0.113.9, unknown, 10.0.0.1", null],
    ["unknown, 203.0.113.9", "203.0.113.9"],
    ["203.0.113.9,", null],
    ["203.0.113.9, , 10.0.0.1", null],
    ["203.0.113.9 10.0.0.1", null],
    ['"203.0.113.9"', null],
    ["for=203.0.113.9", null],
    ["203.0.113.9:", null],
    ["203.0.113.9:567890", null],
    ["2001:db8::2]:9", null],
    ["[203.0.113.9]:9", null],
    ["[2001:db8::2]9", null],
    ["", null],
    [" ", null],
    [null, null],
  ])("%j comes from %j", (header, client) => {
    expect(forwardedFor(header, isTrusted)).toBe(client);
  });

  it("is read quickly, whatever it holds", () => {
    for (const part of ["[:", " ", ",", "10.0.0.1,", "1.", "a:"]) {
      const started = performance.now();
      forwardedFor(part.repeat(20_000), isTrusted);
      expect(performance.now() - started).toBeLessThan(500);
    }
  });
});

function request(peer: string | undefined, forwarded?: string | string[]): NodeRequest {
  return { headers: { "x-forwarded-for": forwarded }, socket: { remoteAddress: peer } };
}

describe("a Node request", () => {
  const FORWARDED = "198.51.100.1, 203.0.113.9";

  it.each<[trustProxy: boolean | string[], peer: string | undefined, forwarded: string | undefined, ip: string | null]>(
    [
      [false, "192.0.2.7", FORWARDED, "192.0.2.7"],
      [false, "::ffff:192.0.2.7", FORWARDED, "192.0.2.7"],
      [false, "fe80::1%eth0", undefined, "fe80::1"],
      // A socket of the file system has no address.
      [false, undefined, FORWARDED, null],
      [true, undefined, FORWARDED, "203.0.113.9"],
      [true, "192.0.2.7", FORWARDED, "203.0.113.9"],
      [true, "192.0.2.7", "10.0.0.1, 10.0.0.2", "10.0.0.2"],
      [true, "192.0.2.7", undefined, null],
      [true, "192.0.2.7", "unknown", null],
      [["192.0.2.0/24"], "192.0.2.7", FORWARDED, "203.0.113.9"],
      [["192.0.2.0/24"], "::ffff:192.0.2.7", FORWARDED, "203.0.113.9"],
      [["192.0.2.0/24"], "::ffff:c000:207", FORWARDED, "203.0.113.9"],
      [["192.0.2.0/24"], "192.0.2.7", `${FORWARDED}, 192.0.2.8`, "203.0.113.9"],
      [["192.0.2.0/24"], "192.0.2.7", undefined, null],
      [["192.0.2.0/24"], "192.0.3.7", FORWARDED, "192.0.3.7"],
      [["192.0.2.0/24"], undefined, FORWARDED, null],
      [["fe80::/10"], "fe80::1%eth0", FORWARDED, "203.0.113.9"],
      [[], "192.0.2.7", FORWARDED, "192.0.2.7"],
    ],
  )("with trustProxy %j, from %s that forwards for %s, comes from %s", (trustProxy, peer, forwarded, ip) => {
    expect(connectionReader(trustProxy)(request(peer, forwarded)).ip).toBe(ip);
  });

  it("whose header is no text tells no address", () => {
    expect(connectionReader(true)(request("192.0.2.7", ["203.0.113.9"])).ip).toBeNull();
  });

  it("tells its address also when its socket has closed meanwhile", () => {
    const socket: { remoteAddress?: string | undefined } = { remoteAddress: "192.0.2.7" };
    const connection = connectionReader(false)({ headers: {}, socket });
    socket.remoteAddress = undefined;
    expect(connection.ip).toBe("192.0.2.7");
  });
});
