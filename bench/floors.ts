/** What a session costs at least: each primitive alone, as cheaply as Node offers it. */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hash,
  randomBytes,
  randomFillSync,
  timingSafeEqual,
} from "node:crypto";
import { type Case, cpuCase } from "./measure.ts";

/** Floors over `count` sessions of the same data. */
export function floors(text: string, count: number): Case[] {
  return [digestAndMap(count), signedCookie(count), openSealed(text, count), seal(text)];
}

/** A random id in the cookie, its SHA-256 in a Map: no sealing at all. */
function digestAndMap(count: number): Case {
  const ids = Array.from({ length: count }, () => randomBytes(32).toString("base64url"));
  const sessions = new Map(ids.map((id) => [hash("sha256", id, "base64url"), { id }]));
  return cpuCase("floor: SHA-256 and Map", {
    run(index) {
      if (!sessions.has(hash("sha256", ids[index % count] ?? "", "base64url"))) throw new Error("not found");
    },
  });
}

/** What express-session does to its cookie, without the rest. */
function signedCookie(count: number): Case {
  const key = randomBytes(32).toString("base64url");
  const sign = (id: string): string => createHmac("sha256", key).update(id).digest("base64");
  const cookies = Array.from({ length: count }, () => randomBytes(24).toString("base64url")).map(
    (id) => `${id}.${sign(id)}`,
  );
  return cpuCase("floor: signed cookie check", {
    run(index) {
      const cookie = cookies[index % count] ?? "";
      const dot = cookie.indexOf(".");
      if (!timingSafeEqual(Buffer.from(sign(cookie.slice(0, dot))), Buffer.from(cookie.slice(dot + 1)))) {
        throw new Error("forged");
      }
    },
  });
}

function openSealed(text: string, count: number): Case {
  const key = randomBytes(32);
  const records = Array.from({ length: count }, () => sealText(key, randomBytes(12), text));
  return cpuCase("floor: AES-256-GCM open", {
    run(index) {
      const { nonce, sealed, tag } = records[index % count] ?? sealText(key, randomBytes(12), text);
      const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: 16 });
      decipher.setAuthTag(tag);
      const plain = decipher.update(sealed);
      decipher.final();
      if (plain.length !== text.length) throw new Error("not opened");
    },
  });
}

function seal(text: string): Case {
  const key = randomBytes(32);
  const nonce = Buffer.alloc(12);
  return cpuCase("floor: AES-256-GCM seal", {
    run() {
      sealText(key, randomFillSync(nonce), text);
    },
  });
}

function sealText(key: Buffer, nonce: Buffer, text: string): { nonce: Buffer; sealed: Buffer; tag: Buffer } {
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: 16 });
  const sealed = cipher.update(text, "utf8");
  cipher.final();
  return { nonce, sealed, tag: cipher.getAuthTag() };
}
