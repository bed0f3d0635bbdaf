/** Forms: what was sent, and what is to be said about it. */
import { returnTarget } from "symbolon/auth/return-target";
import { normalName } from "./user-name.ts";

/** One thing that is wrong with a form, and the field it is about. */
export interface Problem {
  readonly field: string;
  readonly text: string;
}

/** A form that was not taken. The next page shows it again, with what had been typed; never a password. */
export interface RefusedForm {
  /** The page of the form. */
  readonly path: string;
  readonly problems: readonly Problem[];
  readonly typed: Readonly<Record<string, string>>;
}

/** A field as it was sent, empty when it was not: for passwords, which may hold anything. */
export function rawField(body: unknown, name: string): string {
  const value = typeof body === "object" && body !== null ? (body as Record<string, unknown>)[name] : undefined;
  return typeof value === "string" ? value : "";
}

/** A field of one line, without what nobody can have meant to type. */
export function textField(body: unknown, name: string): string {
  return rawField(body, name)
    .replaceAll(/\p{Cc}+/gu, " ")
    .trim();
}

/** The problems there are: pairs of a field and what is wrong with it, null for nothing. */
export function problemsOf(...checks: readonly (readonly [field: string, text: string | null])[]): Problem[] {
  return checks.flatMap(([field, text]) => (text === null ? [] : { field, text }));
}

/** Where a login is to lead. Anybody can put an address into a link, so only paths of this application are followed. */
export function safeReturn(fields: unknown): string {
  return returnTarget(rawField(fields, "return"), { origins: [], fallback: "/account" });
}

/** The fields of the forms that ask for a password. */
export function readLogin(body: unknown) {
  return {
    name: normalName(textField(body, "name")),
    password: rawField(body, "password"),
    remember: rawField(body, "remember"),
    back: safeReturn(body),
  };
}
