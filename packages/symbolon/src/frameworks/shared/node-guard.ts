/** How guards answer on Node's responses. */
import type { GuardRefusal } from "../../auth/guards.ts";
import type { NodeResponse } from "./node-response.ts";

/** Answers what a program understands (RFC 9457); an application that has pages passes `onRefused`. */
export function answerRefusal(response: NodeResponse, { status, code, title }: GuardRefusal): void {
  response.statusCode = status;
  response.setHeader("Content-Type", "application/problem+json");
  (response.end as (text: string) => unknown)(JSON.stringify({ status, title, code }));
}
