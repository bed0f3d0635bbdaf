/** Names a client as its user would, "Firefox on Linux": for lists of devices, never for decisions. */
import { parse } from "bowser";

/** Longer user agents are read no further. */
const MAX_LENGTH = 512;

/** Shorter, or better known, than what the parser says. */
const USUAL_NAMES: ReadonlyMap<string, string> = new Map([
  ["Focus", "Firefox Focus"],
  ["Microsoft Edge", "Edge"],
  ["Miui", "MIUI Browser"],
  ["NAVER Whale Browser", "Whale"],
  ["Samsung Internet for Android", "Samsung Internet"],
]);

/** All browsers begin like this; what does not begins with its own name (RFC 9110 section 10.1.5). */
const BROWSER = /^(?:Mozilla|Opera)\//;
const PRODUCT = /^([a-z][\w-]{0,39})(?:\/|\s+\d|$)/i;

/** `AhrefsBot/7.0`, wherever it stands. Nothing follows the name of a phone such as `CUBOT X19` like this. */
const BOT = /(?:^|[\s(,;])([a-z][\w-]{0,30}?(?:bot|crawler|spider))(?:-[a-z]+)?[/;)]/i;

/**
 * Names the client behind a `User-Agent` header: browser and system or device, a bot or another program by the name it
 * has for itself, null when nothing can be said. No version is named.
 *
 * The header is the client's word, so a name describes and proves nothing. Its text is safe in logs and pages: letters,
 * digits, spaces, `-` and `_`, at most 80. Never throws.
 *
 * @example
 * createSessionManager({ nameDevice, store, keys });
 */
export function nameDevice(userAgent: string): string | null {
  const text = typeof userAgent === "string" ? userAgent.slice(0, MAX_LENGTH).trim() : "";
  if (text === "") return null;
  const [, bot] = BOT.exec(text) ?? [];
  if (bot !== undefined) return bot;
  const { browser, os, platform } = parse(text);
  const client = BROWSER.test(text) ? nameBrowser(browser.name) : (PRODUCT.exec(text)?.[1] ?? null);
  const system = os.name === "iOS" ? nameApple(platform.model) : (os.name ?? null);
  if (client === null || system === null) return client ?? system;
  // "Android Browser" needs no "on Android".
  return client.startsWith(system) ? client : `${client} on ${system}`;
}

/** Of a browser it does not know, the parser repeats what it read: `Mozilla`, or more. */
function nameBrowser(name: string | undefined): string | null {
  if (name === undefined || name === "" || name.startsWith("Mozilla")) return null;
  return USUAL_NAMES.get(name) ?? name;
}

/** The parser repeats the model in the header's own case. */
function nameApple(model: string | undefined): string {
  return ["iPhone", "iPad", "iPod"].find((name) => name.toLowerCase() === model?.toLowerCase()) ?? "iOS";
}
