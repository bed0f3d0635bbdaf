/** What Node bindings answer when something fails, where the framework has no answer of its own. */
import { isSymbolonError } from "../../errors.ts";
import { clearAnswer, type NodeResponse } from "./node-response.ts";

/** Failures of the store and refused requests are events of the manager; only others are reported. */
export function answerError(response: NodeResponse, error: unknown, report: () => void): void {
  const status = isSymbolonError(error) ? error.status : 500;
  if (status !== 503 && !isRefusal(error)) report();
  if (response.headersSent) {
    response.destroy(error instanceof Error ? error : new Error("The handler failed."));
    return;
  }
  clearAnswer(response);
  response.statusCode = status;
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  response.setHeader("Cache-Control", "no-store");
  const headers = isSymbolonError(error) ? error.headers : undefined;
  for (const [name, value] of Object.entries(headers ?? {})) response.setHeader(name, value);
  (response.end as (text: string) => unknown)(STATUS_TEXT[status] ?? "Internal Server Error");
}

function isRefusal(error: unknown): boolean {
  return isSymbolonError(error) && (error.code === "ERR_CSRF_REFUSED" || error.code === "ERR_SESSION_ENDED");
}

const STATUS_TEXT: Readonly<Record<number, string>> = {
  401: "Unauthorized",
  403: "Forbidden",
  409: "Conflict",
  413: "Content Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

/** Reports what nobody waits for. */
export function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error), "SymbolonWarning");
}
