/** Sessions that the browser carries itself, sealed; a store is needed only to note what ended. */
import { createSessionManager, generateKey, openSession } from "symbolon";
import { sealedCookie } from "symbolon/sealed-cookie";
import { memoryStore } from "symbolon/stores/memory";

const keys = [generateKey()];
const revocations = memoryStore(); // In earnest, one that all processes share.

/** Each process knows the keys, and nothing of what another did before. */
const startProcess = () => createSessionManager<{ cart: string[] }>({ store: sealedCookie({ revocations }), keys });

/** What a browser sends back of `Set-Cookie`. */
const sentBack = (cookies: readonly string[]) =>
  new Headers({ cookie: cookies.map((cookie) => cookie.split(";")[0]).join("; ") });

const login = await openSession(startProcess(), new Headers());
await login.session.login("ada");
login.session.data = { cart: ["tea"] };
const cookies = await login.commit();
console.log(`Cookies: ${cookies.length}, of ${cookies.join().length} characters`);

const next = await openSession(startProcess(), sentBack(cookies));
console.log(`Another process: ${next.session.userId}, cart: ${next.session.data.cart.join()}`);

const copied = sentBack(cookies);
await next.session.logout();
await next.commit();
const thief = await openSession(startProcess(), copied);
console.log(`A copy, after logout: ${thief.session.state}, because of: ${thief.refusal?.ended?.reason}`);
