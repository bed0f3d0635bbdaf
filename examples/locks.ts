/** One at a time: `sessions.lock` for a name, `session.lock` for one session. */
import { createSessionManager, generateKey, LockTimeoutError } from "symbolon";
import { withSession } from "symbolon/frameworks/fetch";
import { memoryStore } from "symbolon/stores/memory";

interface Account {
  balance: number;
}

// Two processes on one store: Redis, PostgreSQL, MySQL, SQLite and files are shared like this one.
const options = { store: memoryStore(), keys: [generateKey()] };
const here = createSessionManager<Account>(options);
const there = createSessionManager<Account>(options);

/** Stands for something slow that must not happen twice at once. */
const slow = () => new Promise((resolve) => setTimeout(resolve, 20));

await Promise.all(
  [here, there].map((sessions, process) =>
    sessions.lock("migrate", async ({ fence }) => {
      console.log(`Process ${process} migrates, as holder ${fence}`); // A number that grows with every holder.
      await slow();
      console.log(`Process ${process} is done`);
    }),
  ),
);

// Whoever does not want to wait tries once; at the end of the block the lock is free.
{
  await using _lease = await here.lock("migrate");
  try {
    await there.lock("migrate", { wait: 0 });
  } catch (error) {
    if (!(error instanceof LockTimeoutError)) throw error;
    console.log(`${error.status}: ${error.message}`);
  }
}

// A route that takes its session's lock before it reads: nobody pays twice with the same money, however fast they click.
const { token } = await here.create({ userId: "ada", data: { balance: 100 } });
const pay = withSession(
  here,
  async (_request, session) => {
    if (session.data.balance < 70) return new Response("too little", { status: 402 });
    await slow();
    session.data.balance -= 70;
    return new Response("paid");
  },
  { lock: true },
);
const headers = { cookie: `__Host-sid=${token}`, "Sec-Fetch-Site": "same-origin" };
const click = () => pay(new Request("https://app.example/pay", { method: "POST", headers }));
const answers = await Promise.all([click(), click(), click()]);
console.log(`Three clicks: ${answers.map(({ status }) => status).join(", ")}`);

// The same around a part of a request, or outside of one.
const session = await there.validate(token);
await session?.lock(async () => {
  await slow();
  session.data.balance += 5; // Read anew under the lock, and saved before it is free.
});
console.log(`Left: ${session?.data.balance}`);
await here.close();
await there.close();
