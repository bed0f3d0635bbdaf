/** What the process of a candidate is asked, and what it answers. */
import type { Path } from "./candidates/candidate.ts";
import type { Effort } from "./measure.ts";

export interface Orders {
  /** So many requests, or as many as that much CPU time allows, until code is optimised as it will be. */
  warmUp(path: Path, sessions: number, requests: number, milliseconds: number): Promise<void>;
  /** CPU microseconds of one request. */
  sample(path: Path, effort: Effort): Promise<number>;
  /** Bytes that so many requests leave after collections of the young generation, by requests. */
  retained(path: Path, requests: number): Promise<number>;
  /** So many requests one after the other; the longest of their heads' `Set-Cookie` lines, in bytes. */
  repeat(path: Path, times: number): Promise<number>;
  /** All at once, with the same cookie; the count that the browser sees afterwards. */
  race(path: Path, times: number): Promise<number>;
  /** Logs out while a write of the same session is under way. */
  logOutDuringWrite(): Promise<Revival>;
  /** Serves on a port of this machine, with cookies of so many sessions. */
  listen(sessions: number): Promise<Listening>;
  stopListening(): Promise<void>;
  /** CPU microseconds that the process has spent so far. */
  cpu(): Promise<number>;
  /** Starts the profiler, and stops it; where the time went. */
  profile(path: Path, milliseconds: number): Promise<Profile>;
}

export interface Revival {
  /** The browser, with the cookies that the late answer left it, is logged in. */
  readonly browser: boolean;
  /** The cookie of before the logout opens the session. */
  readonly copy: boolean;
}

export interface Listening {
  readonly port: number;
  readonly cookies: readonly string[];
}

export interface Profile {
  readonly functions: readonly Hot[];
  readonly files: readonly Hot[];
}

export interface Hot {
  readonly where: string;
  /** Of all that was sampled, in percent. */
  readonly share: number;
}

export interface Order {
  readonly id: number;
  readonly name: keyof Orders;
  readonly args: readonly unknown[];
}

export interface OrderAnswer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}
