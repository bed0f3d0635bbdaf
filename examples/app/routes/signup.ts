/** New accounts. */
import { Router } from "express";
import { sessionOf } from "symbolon/frameworks/express";
import { redirect, sendBack, sendPage } from "../answers.ts";
import { problemsOf, readLogin, safeReturn } from "../form.ts";
import { frameOf } from "../frame.ts";
import { logIn } from "../log-in.ts";
import { signupPage } from "../pages/login.ts";
import { problemOfPassword } from "../password.ts";
import type { Services } from "../services.ts";
import { problemOfName } from "../user-name.ts";

/** Names are public here. Where they are not, as with e-mail addresses, say the same to everybody and send a letter. */
const TAKEN = "This name is taken. Choose another.";

export function signupRoutes({ sessions, users, audit }: Services): Router {
  const router = Router();

  router.get("/signup", (request, response) => {
    const session = sessionOf(request, sessions);
    const back = safeReturn(request.query);
    if (session.userId !== null) return redirect(response, back);
    return sendPage(response, signupPage(frameOf(session, "/signup"), back));
  });

  router.post("/signup", async (request, response) => {
    const session = sessionOf(request, sessions);
    const { name, password, remember, back } = readLogin(request.body);
    const problems = problemsOf(["name", problemOfName(name)], ["password", problemOfPassword(password)]);
    const user = problems.length === 0 ? await users.add(name, password) : null;
    if (user === null) {
      if (problems.length === 0) problems.push({ field: "name", text: TAKEN });
      return sendBack(response, session, { path: "/signup", problems, typed: { name, remember } }, back);
    }
    audit.note("signed-up", { userId: user.id, isAdmin: user.isAdmin });
    await logIn(session, users, user, remember !== "");
    return redirect(response, back, session, `Welcome, ${user.name}.`);
  });

  return router;
}
