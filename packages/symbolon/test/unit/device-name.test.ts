import * as fc from "fast-check";
import { nameDevice } from "symbolon/auth/device-name";
import { describe, expect, it } from "vitest";
import { propertyOptions } from "../property/seed.ts";

const LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

/** What a name may hold: safe in a log line, in HTML and in a mail. */
const SAFE = /^[A-Za-z][\w -]{0,79}$/;

/** Builds as JavaScript would: no types hold it back. */
function untyped(userAgent: unknown): unknown {
  return Reflect.apply(nameDevice, undefined, [userAgent]);
}

describe("a device name", () => {
  it.each([
    ["Firefox on Linux", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"],
    ["Firefox on Linux", "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0"],
    ["Firefox on Windows", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:130.0) Gecko/20100101 Firefox/130.0"],
    ["Firefox on macOS", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:131.0) Gecko/20100101 Firefox/131.0"],
    ["Firefox on Android", "Mozilla/5.0 (Android 14; Mobile; rv:130.0) Gecko/130.0 Firefox/130.0"],
    [
      "Firefox on iPhone",
      "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/130.0 Mobile/15E148 Safari/605.1.15",
    ],
    [
      "Firefox on iPad",
      "Mozilla/5.0 (iPad; CPU OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/130.0 Mobile/15E148 Safari/605.1.15",
    ],
    [
      "Firefox on iPad",
      "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/130 Version/17.6 Safari/605.1.15",
    ],
    [
      "Chrome on Windows",
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36",
    ],
    [
      "Chrome on macOS",
      "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36",
    ],
    [
      "Chrome on Linux",
      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36",
    ],
    [
      "Chrome on Chrome OS",
      "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36",
    ],
    [
      "Chrome on Android",
      "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Mobile Safari/537.36",
    ],
    [
      "Chrome on iPhone",
      "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/128.0.6613.92 Mobile/15E148 Safari/604.1",
    ],
    [
      "Chrome on Linux",
      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/128.0.0.0 Safari/537.36",
    ],
    [
      "Safari on macOS",
      "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Safari/605.1.15",
    ],
    [
      "Safari on iPhone",
      "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1",
    ],
    [
      "Safari on iPad",
      "Mozilla/5.0 (iPad; CPU OS 12_5_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1.2 Mobile/15E148 Safari/604.1",
    ],
    [
      "Safari on iPod",
      "Mozilla/5.0 (iPod touch; CPU iPhone OS 12_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1 Mobile/15E148 Safari/604.1",
    ],
    [
      "Edge on Windows",
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36 Edg/128.0.0.0",
    ],
    [
      "Edge on Android",
      "Mozilla/5.0 (Linux; Android 10; HD1913) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Mobile Safari/537.36 EdgA/127.0.0.0",
    ],
    [
      "Edge on iPhone",
      "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 EdgiOS/127.0 Mobile/15E148 Safari/605.1.15",
    ],
    [
      "Edge on Windows",
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/64.0.3282.140 Safari/537.36 Edge/18.17763",
    ],
    [
      "Samsung Internet on Android",
      "Mozilla/5.0 (Linux; Android 13; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
    ],
    [
      "Opera on Windows",
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/127.0.0.0 Safari/537.36 OPR/113.0.0.0",
    ],
    ["Opera on Linux", "Opera/9.80 (X11; Linux x86_64) Presto/2.12.388 Version/12.16"],
    [
      "Vivaldi on Linux",
      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36 Vivaldi/6.9.3447.37",
    ],
    [
      "Yandex Browser on Windows",
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 YaBrowser/24.7.0.0 Safari/537.36",
    ],
    [
      "UC Browser on Android",
      "Mozilla/5.0 (Linux; U; Android 12; en-US; RMX3085) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/100.0.4896.58 UCBrowser/13.4.0.1306 Mobile Safari/537.36",
    ],
    ["Internet Explorer on Windows", "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko"],
    [
      "Amazon Silk on Android",
      "Mozilla/5.0 (Linux; Android 9; KFMAWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/121.2.3 like Chrome/121.0.6167.71 Safari/537.36",
    ],
    [
      "Android Browser",
      "Mozilla/5.0 (Linux; U; Android 2.3.6; en-us; Nexus S Build/GRK39F) AppleWebKit/533.1 (KHTML, like Gecko) Version/4.0 Mobile Safari/533.1",
    ],
    [
      "Chrome on Android",
      "Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Mobile Safari/537.36",
    ],
    [
      "DuckDuckGo on iPhone",
      "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Safari/604.1 Ddg/17.5",
    ],
    [
      "Safari on iPhone",
      "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/21F79 [FBAN/FBIOS;FBAV/470.0.0.38.108]",
    ],
    [
      "WeChat on iPhone",
      "Mozilla/5.0 (iPhone; CPU iPhone OS 16_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.42(0x18002a2e) NetType/WIFI Language/en",
    ],
    ["Firefox", "Mozilla/5.0 (X11; FreeBSD amd64; rv:128.0) Gecko/20100101 Firefox/128.0"],
    [
      "WebOS Browser",
      "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/79.0.3945.79 Safari/537.36 WebAppManager",
    ],
    [
      "Tizen",
      "Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36",
    ],
    [
      "Safari",
      "Mozilla/5.0 (PlayStation; PlayStation 5/6.50) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.4 Safari/605.1.15",
    ],
    [
      "Chrome on HarmonyOS",
      "Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 Safari/537.36 ArkWeb/4.1.6.1 Mobile",
    ],
    [
      "Electron on macOS",
      "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Slack/4.39.95 Chrome/126.0.6478.114 Electron/31.1.0 Safari/537.36",
    ],
    ["Windows", "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.1682"],
    ["Googlebot", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"],
    [
      "Googlebot",
      "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    ],
    [
      "bingbot",
      "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36",
    ],
    ["AhrefsBot", "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)"],
    ["Baiduspider", "Mozilla/5.0 (compatible; Baiduspider-render/2.0; +http://www.baidu.com/search/spider.html)"],
    ["YahooSlurp", "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)"],
    [
      "ChatGPT-User",
      "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0; +https://openai.com/bot",
    ],
    ["facebookexternalhit", "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"],
    ["Slackbot-LinkExpanding", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"],
    ["Slackbot", "Slackbot 1.0(+https://api.slack.com/robots)"],
    ["Googlebot", "Googlebot-Image/1.0"],
    ["curl", "curl/8.5.0"],
    ["curl on Linux", "curl/7.68.0 (x86_64-pc-linux-gnu) libcurl/7.68.0"],
    ["okhttp", "okhttp/4.12.0"],
    ["python-requests", "python-requests/2.31.0"],
    ["Wget on Linux", "Wget/1.21.2 (linux-gnu)"],
    ["Go-http-client", "Go-http-client/1.1"],
    ["PostmanRuntime", "PostmanRuntime/7.36.0"],
    ["node", "node"],
    ["Dart", "Dart/3.2 (dart:io)"],
    ["Apache-HttpClient", "Apache-HttpClient/4.5.14 (Java/17.0.9)"],
    ["Dalvik on Android", "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 6 Build/TQ3A.230805.001)"],
    ["MyShop on iPhone", "MyShop/4.2 (iPhone; iOS 17.1; Scale/3.00)"],
    ["MyShop", "MyShop/12 CFNetwork/1494.0.7 Darwin/23.4.0"],
    ["Windows", "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)"],
    ["Windows", "Mozilla/5.0 (Windows NT 10.0)"],
    ["Ladybird on Linux", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Ladybird/1.0"],
    [
      "Vivo Browser on Android",
      "Mozilla/5.0 (Linux; Android 13; V2109) AppleWebKit/537.36 Chrome/87 Mobile VivoBrowser/12.9",
    ],
    [
      "Edge on Windows Phone",
      "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15254",
    ],
    ["BlackBerry9700", "BlackBerry9700/5.0.0.862 Profile/MIDP-2.1 Configuration/CLDC-1.1"],
    ["Twitterbot", "Twitterbot/1.0"],
  ])("%s: %s", (name, userAgent) => {
    expect(nameDevice(userAgent)).toBe(name);
  });

  it.each([
    [""],
    [" "],
    ["com.example.app/1.2"],
    ["Mozilla/5.0"],
    ["hello world foo"],
    ["Mozilla/4.0 (compatible)"],
    ["-"],
    ["1.2.3"],
    ["evil.example/1.0"],
    ["Please call us at/1"],
    ["__proto__/1.0"],
    ["<script>alert(1)</script>"],
    ["\u202eeliforp/1.0"],
    ["Ｃｈｒｏｍｅ/1.0"],
    ["\0"],
  ])("is not made of %j", (userAgent) => {
    expect(nameDevice(userAgent)).toBeNull();
  });

  it("knows no properties of objects", () => {
    expect(nameDevice("constructor/1.0")).toBe("constructor");
    expect(nameDevice("toString")).toBe("toString");
    expect(nameDevice("Mozilla/5.0 (__proto__; constructor) hasOwnProperty/1.0")).toBeNull();
  });

  it("holds nothing of what else the client wrote", () => {
    for (const more of ["\r\n\u001b[31m", "<b>&amp;</b>", "\u2028\u0085\u007f", "\"'`", "__proto__", "🙂\ud800"]) {
      expect(nameDevice(`${LINUX} ${more}`)).toBe("Firefox on Linux");
      expect(nameDevice(`${more}${LINUX}`) ?? "a").toMatch(SAFE);
      expect(nameDevice(`Tool${more}/1.0`) ?? "a").toMatch(SAFE);
      expect(nameDevice(`Mozilla/5.0 (iPhone${more}; ${more}bot/1.0)`) ?? "a").toMatch(SAFE);
    }
  });

  it("is made of the first 512 characters, quickly", () => {
    expect(nameDevice(`${" ".repeat(512)}curl/8.5.0`)).toBeNull();
    expect(nameDevice(LINUX + " a".repeat(100_000))).toBe("Firefox on Linux");
    expect(nameDevice(`${"a".repeat(41)}/1.0`)).toBeNull();
    const started = performance.now();
    for (const part of [
      "a",
      "1",
      "version/1.1",
      "1_1",
      " ",
      "(",
      "bot",
      "a-",
      "Macintosh FxiOS",
      "mac os x 1",
      "os 1_1 ",
    ]) {
      nameDevice(part.repeat(100_000));
      nameDevice(`Mozilla/5.0 (${part.repeat(100_000)}`);
    }
    expect(performance.now() - started).toBeLessThan(500);
  });

  it.each<[unknown]>([[null], [undefined], [42], [{}], [[LINUX]], [Symbol("agent")]])("is null for %s", (value) => {
    expect(untyped(value)).toBeNull();
  });

  it("is safe text or null, whatever comes, and names no version", () => {
    const words = fc.constantFrom(
      ..."Mozilla/5.0|Opera/9.80|Android 14|iPhone OS|Windows NT 10.0|Macintosh".split("|"),
    );
    const brands = fc.constantFrom(
      ..."Chrome/1.2|Safari/3|Version/4.5|FxiOS/6|TestBot/7.8|Whale/9|like Gecko".split("|"),
    );
    const text = fc.oneof(words, brands, fc.constantFrom(" ", "; ", "(", ")", "/"), fc.string());
    fc.assert(
      fc.property(fc.array(text, { maxLength: 12 }), (parts) => {
        const name = nameDevice(parts.join(" "));
        if (name === null) return;
        expect(name).toMatch(SAFE);
        expect(name).not.toMatch(/\d\.\d/);
      }),
      propertyOptions(),
    );
  });
});
