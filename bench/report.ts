/** What a measurement finds, in the shape that is printed, plotted and written to a file. */

export type Cell = string | number | null;

export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/** A bound, and where we are. */
export interface Budget {
  readonly name: string;
  readonly most: number;
  readonly found: number;
  /** How far above, in the bound's own unit; 0 when it is met. */
  readonly missedBy: number;
}

/** How a cost grows; both axes are logarithmic. */
export interface Plot {
  readonly name: string;
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly curves: readonly Curve[];
}

export interface Curve {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Report {
  /** What was done, and how to read it. */
  readonly about: string;
  readonly tables: readonly Table[];
  readonly budgets?: readonly Budget[];
  readonly plots?: readonly Plot[];
}

export function budget(name: string, most: number, found: number): Budget {
  // A figure that is missing is no figure that is met.
  return { name, most, found, missedBy: found <= most ? 0 : Number((found - most).toPrecision(3)) };
}
