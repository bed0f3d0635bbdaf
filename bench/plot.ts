/** Curves as SVG, with both axes logarithmic: a straight line that rises by one for one is a cost that grows with its cause. */
import type { Curve, Plot } from "./report.ts";

const [WIDTH, HEIGHT] = [640, 400];
const FRAME = { left: 70, right: 190, top: 40, bottom: 50 };
const COLOURS = ["#0b6e4f", "#c8553d", "#3d5a80", "#8d6a9f"];

export function svgOf({ title, x, y, curves }: Plot): string {
  const points = curves.flatMap((curve) => curve.points);
  const across = axis(points.map(([value]) => value));
  const up = axis(points.map(([, value]) => value));
  const left = (value: number): number => FRAME.left + across.part(value) * (WIDTH - FRAME.left - FRAME.right);
  const top = (value: number): number => HEIGHT - FRAME.bottom - up.part(value) * (HEIGHT - FRAME.top - FRAME.bottom);
  const middle = HEIGHT / 2;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    `<text x="${FRAME.left}" y="20" font-size="14">${escape(title)}</text>`,
    ...across.ticks.map((tick) => {
      const at = left(tick);
      return `${line([at, FRAME.top], [at, HEIGHT - FRAME.bottom])}${text(at, HEIGHT - FRAME.bottom + 16, short(tick), "middle")}`;
    }),
    ...up.ticks.map((tick) => {
      const at = top(tick);
      return `${line([FRAME.left, at], [WIDTH - FRAME.right, at])}${text(FRAME.left - 6, at + 4, short(tick), "end")}`;
    }),
    text((FRAME.left + WIDTH - FRAME.right) / 2, HEIGHT - 12, x, "middle"),
    `<text transform="rotate(-90 16 ${middle})" x="16" y="${middle}" text-anchor="middle">${escape(y)}</text>`,
    ...curves.map((curve, index) => drawn(curve, index, left, top)),
    "</svg>",
    "",
  ].join("\n");
}

function drawn(
  { name, points }: Curve,
  index: number,
  left: (value: number) => number,
  top: (value: number) => number,
): string {
  const colour = COLOURS[index % COLOURS.length];
  const spots = points.map(([x, y]) => [left(x).toFixed(1), top(y).toFixed(1)] as const);
  const y = FRAME.top + 14 + index * 20;
  return [
    `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${spots.map((spot) => spot.join(",")).join(" ")}"/>`,
    ...spots.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="3" fill="${colour}"/>`),
    `<circle cx="${WIDTH - FRAME.right + 14}" cy="${y - 4}" r="4" fill="${colour}"/>`,
    text(WIDTH - FRAME.right + 24, y, name, "start"),
  ].join("");
}

/** From the power of ten below the least to the one above the greatest. */
function axis(values: readonly number[]): { readonly ticks: readonly number[]; part(value: number): number } {
  const logs = values.filter((value) => value > 0).map((value) => Math.log10(value));
  const first = Math.floor(Math.min(...logs, 0));
  const last = Math.max(Math.ceil(Math.max(...logs, 0)), first + 1);
  const ticks = Array.from({ length: last - first + 1 }, (_, index) => 10 ** (first + index));
  return { ticks, part: (value) => (Math.log10(Math.max(value, 10 ** first)) - first) / (last - first) };
}

function line([x1, y1]: readonly [number, number], [x2, y2]: readonly [number, number]): string {
  return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="#ddd"/>`;
}

function text(x: number, y: number, content: string, anchor: "start" | "middle" | "end"): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}">${escape(content)}</text>`;
}

function short(value: number): string {
  if (value >= 1e6) return `${value / 1e6} M`;
  return value >= 1e4 ? `${value / 1e3} k` : String(Number(value.toPrecision(3)));
}

function escape(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
