/**
 * Refuses forms sent by other sites.
 *
 * Here only until the library checks this itself; the cookie's SameSite=Lax alone does not stop other ports and
 * subdomains of the same site.
 */
import type { NextFunction, Request, Response } from "express";

/** Middleware that lets a form through only when the browser says that our own page sent it. */
export function requireSameOrigin(scheme: "http" | "https") {
  return (request: Request, response: Response, next: NextFunction): void => {
    const site = request.get("Sec-Fetch-Site");
    const isOwn =
      site === undefined
        ? request.get("Origin") === `${scheme}://${request.get("Host")}`
        : site === "same-origin" || site === "none";
    if (isOwn) return next();
    response.status(403).type("text/plain").send("This form was sent from another site, so nothing was done.\n");
  };
}
