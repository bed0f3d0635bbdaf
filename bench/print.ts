/** Reports as text for a terminal. */
import type { Machine } from "./machine.ts";
import type { Budget, Cell, Report, Table } from "./report.ts";

const WIDTH = 120;

export function textOfMachine(machine: Machine): string {
  const { date, node, cpu, cores, memory, system, load, servers, packages } = machine;
  const versions = Object.entries(packages).map(([name, version]) => `${name} ${version}`);
  return [
    `${date}, ${node}, ${cores} x ${cpu}, ${memory}, ${system}, load ${load}.`,
    ...servers,
    ...wrap(versions.join(", ")),
  ].join("\n");
}

export function textOfReport(name: string, { about, tables, budgets = [] }: Report): string {
  const parts = [`## ${name}`, wrap(about).join("\n"), ...tables.map(textOfTable)];
  if (budgets.length > 0) parts.push(budgets.map(textOfBudget).join("\n"));
  return parts.join("\n\n");
}

function textOfTable({ title, columns, rows }: Table): string {
  const cells = [columns, ...rows.map((row) => row.map(textOfCell))];
  const widths = columns.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  // Figures stand under each other; words begin at the same place.
  const isWords = columns.map((_, column) => rows.some((row) => typeof row[column] === "string"));
  const lines = cells.map((row) =>
    row
      .map((text, column) =>
        isWords[column] === true ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd(),
  );
  return [title, ...lines.map((line) => `  ${line}`)].join("\n");
}

export function textOfBudget({ name, most, found, missedBy }: Budget): string {
  const verdict = missedBy === 0 ? "met" : `missed by ${missedBy}`;
  return `budget: ${verdict.padEnd(18)} ${textOfCell(found)} of ${most}: ${name}`;
}

function textOfCell(cell: Cell): string {
  if (cell === null) return "";
  if (typeof cell === "string") return cell;
  if (Number.isInteger(cell)) return String(cell);
  return Math.abs(cell) >= 100 ? cell.toFixed(0) : cell.toFixed(Math.abs(cell) >= 10 ? 1 : 2);
}

function wrap(text: string): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1) ?? "";
    if (line.length + word.length >= WIDTH) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}
