/** Looks at a page as somebody would who sees little, or holds a small phone. */
import type { Page } from "playwright-core";

/** Texts have this contrast to what is behind them, large ones less (WCAG 2.2, 1.4.3). */
const LEAST_CONTRAST = 4.5;
const LEAST_CONTRAST_LARGE = 3;
/** What can be pressed is this large, links within a text excepted (WCAG 2.2, 2.5.8). */
const LEAST_TARGET = 24;

/**
 * Answers what is wrong with a page, in words.
 *
 * Runs in the page, through the debugger: the page's own policy allows no script.
 */
export function findObstacles(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(`(() => {
    const obstacles = [];
    const nameOf = (element) => "<" + element.localName + "> " + JSON.stringify(element.textContent.trim().slice(0, 40));

    const headings = [...document.querySelectorAll("h1, h2, h3")].map((heading) => Number(heading.localName[1]));
    if (headings.filter((level) => level === 1).length !== 1) obstacles.push("not one h1");
    if (document.documentElement.lang !== "en") obstacles.push("no language");
    if (document.querySelector("main") === null) obstacles.push("no main");
    if (document.documentElement.scrollWidth > window.innerWidth) obstacles.push("wider than the window");
    const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
    if (new Set(ids).size !== ids.length) obstacles.push("two elements of one id");

    for (const input of document.querySelectorAll("input:not([type=hidden]):not([aria-hidden])")) {
      if (input.labels.length !== 1) obstacles.push("no label: " + input.name);
      const described = (input.getAttribute("aria-describedby") ?? "").split(" ").filter(Boolean);
      if (described.some((id) => document.getElementById(id) === null)) obstacles.push("describes nothing: " + input.name);
    }
    for (const link of document.querySelectorAll("a[href^='#']")) {
      if (document.getElementById(link.hash.slice(1)) === null) obstacles.push("leads nowhere: " + link.hash);
    }
    const controls = [...document.querySelectorAll("button, a[href]")].map((control) => control.textContent.trim());
    if (controls.includes("")) obstacles.push("a control without a name");
    const buttons = [...document.querySelectorAll("main button")].map((button) => button.textContent.trim());
    if (new Set(buttons).size !== buttons.length) obstacles.push("two buttons of one name");

    for (const target of document.querySelectorAll("button, input:not([type=hidden]):not([aria-hidden]), nav a")) {
      const { width, height } = target.getBoundingClientRect();
      if (width < ${LEAST_TARGET} || height < ${LEAST_TARGET}) obstacles.push("too small to press: " + nameOf(target));
    }

    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const luminance = (colour) => {
      const [red, green, blue] = channels(colour).map((value) => {
        const part = value / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const behind = (element) => {
      for (let one = element; one !== null; one = one.parentElement) {
        const colour = getComputedStyle(one).backgroundColor;
        if (channels(colour)[3] !== 0) return colour;
      }
      return "rgb(255, 255, 255)";
    };
    for (const element of document.body.querySelectorAll("*")) {
      const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "");
      if (!hasText && element.localName !== "input") continue;
      const { color, fontSize, fontWeight } = getComputedStyle(element);
      const [lighter, darker] = [luminance(color), luminance(behind(element))].toSorted((one, other) => other - one);
      const size = Number.parseFloat(fontSize);
      const isLarge = size >= 24 || (size >= 18.66 && Number(fontWeight) >= 700);
      const contrast = (lighter + 0.05) / (darker + 0.05);
      const least = isLarge ? ${LEAST_CONTRAST_LARGE} : ${LEAST_CONTRAST};
      if (contrast < least) obstacles.push("contrast " + contrast.toFixed(2) + ": " + nameOf(element));
    }
    return obstacles;
  })()`);
}
