/** Cases of several managers on one request, and of one that is mounted twice. */
import assert from "node:assert/strict";
import {
  type Backstage,
  begin,
  dataOf,
  type Options,
  OWN_PAGE,
  type Stage,
  staged,
  tokenIn,
  twoParts,
  visitor,
} from "./framework-stage.ts";
import { ADMIN, GUARDS } from "./framework-guarded.ts";
import type { FrameworkAbility, FrameworkCase } from "./framework-target.ts";

const needs: readonly FrameworkAbility[] = ["several"];

/** Two managers with a cookie each. */
function shopAndAdmin({ backstage }: Stage, options: Options = {}): readonly [shop: Backstage, admin: Backstage] {
  return [
    backstage({ ...options, cookie: { name: "__Host-shop" } }),
    backstage({ ...options, cookie: { name: "__Host-admin" } }),
  ];
}

export const severalCases: readonly FrameworkCase[] = [
  {
    name: "several managers have a cookie each, and one failing leaves the other's alone",
    needs,
    run: staged(async (stage) => {
      const [shop, admin] = shopAndAdmin(stage);
      const served = await stage.serve([shop, admin], (exchange) => {
        const { path, respond } = exchange;
        if (path !== "/admin") exchange.sessionOf(shop.sessions).data["cart"] = 1;
        if (path !== "/shop") exchange.sessionOf(admin.sessions).data["seen"] = 1;
        respond.send(200, "done");
      });
      const both = await served.get("/both");
      assert.equal(both.cookies.length, 2);
      assert.deepEqual(await dataOf(shop, tokenIn(both, "__Host-shop")), { cart: 1 });
      assert.deepEqual(await dataOf(admin, tokenIn(both, "__Host-admin")), { seen: 1 });
      const onlyAdmin = await served.get("/admin");
      assert.equal(onlyAdmin.cookies.length, 1);
      assert.notEqual(tokenIn(onlyAdmin, "__Host-admin"), "");
      admin.faults.fail();
      const failed = await served.get("/both");
      assert.equal(failed.status, 503);
      assert.deepEqual(
        failed.cookies.filter((cookie) => cookie.startsWith("__Host-admin")),
        [],
      );
      assert.equal((await served.get("/shop")).status, 200);
    }),
  },
  {
    name: "several managers save late changes of all before the last byte",
    needs: ["several", "streams"],
    run: staged(async (stage) => {
      const [shop, admin] = shopAndAdmin(stage);
      const {
        handler,
        begin: ask,
        goOn,
      } = twoParts((exchange) => {
        exchange.sessionOf(shop.sessions).data["cart"] = 1;
        exchange.sessionOf(admin.sessions).data["seen"] = 1;
      });
      const served = await stage.serve([shop, admin], handler);
      const [inShop, inAdmin] = [await begin(shop, {}), await begin(admin, {})];
      const asking = await ask(served, { cookie: `__Host-shop=${inShop.token}; __Host-admin=${inAdmin.token}` });
      goOn();
      const { isCut, text } = await asking.answer;
      assert.deepEqual([isCut, text], [false, "first last"]);
      assert.deepEqual(await dataOf(shop, inShop.token), { cart: 1 });
      assert.deepEqual(await dataOf(admin, inAdmin.token), { seen: 1 });
    }),
  },
  {
    name: "several managers: a guard looks at the session of the one it stands behind",
    needs: ["several", "guards"],
    run: staged(async (stage) => {
      const [shop, admin] = shopAndAdmin(stage);
      const served = await stage.serve([shop, admin], ({ respond }) => respond.send(200, "secret"), GUARDS.login);
      const { token: inShop } = await shop.sessions.create(ADMIN);
      const { token: inAdmin } = await admin.sessions.create(ADMIN);
      for (const [cookie, status] of [
        [`__Host-shop=${inShop}`, 401],
        [`__Host-shop=${inShop}; __Host-admin=${inShop}`, 401],
        [`__Host-shop=${inAdmin}; __Host-admin=${inShop}`, 401],
        [`__Host-admin=${inAdmin}`, 200],
      ] as const) {
        assert.equal((await served.get("/", { cookie })).status, status);
      }
    }),
  },
  {
    name: "several managers: a request of another site is refused by the one it does not suit",
    needs,
    run: staged(async ({ backstage, serve }) => {
      const app = "https://app.test";
      const partner = "https://partner.test";
      const shop = backstage({ origins: [app, partner], cookie: { name: "__Host-shop" } });
      const admin = backstage({ origins: [app], cookie: { name: "__Host-admin" } });
      const served = await serve([shop, admin], ({ respond }) => respond.send(200, "reached"));
      const cross = { ...OWN_PAGE, "Sec-Fetch-Site": "cross-site" };
      assert.equal((await served.post("/", { ...cross, origin: app })).status, 200);
      assert.equal((await served.post("/", { ...cross, origin: partner })).status, 403);
    }),
  },
  {
    name: "one manager mounted twice works once: one read, one write, one cookie, one judgement of another site",
    needs,
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage({ csrf: "report" });
      let refusals = 0;
      behind.sessions.on("csrf-refused", () => refusals++);
      const served = await serve([behind, behind], ({ session, respond }) => {
        session.data["count"] = Number(session.data["count"] ?? 0) + 1;
        respond.send(200, String(session.data["count"]));
      });
      const browser = visitor(served);
      assert.equal((await browser.get("/")).cookies.length, 1);
      assert.equal((await browser.get("/")).text, "2");
      assert.deepEqual(behind.calls(), ["create", "read", "update"]);
      await served.post("/", { "Sec-Fetch-Site": "cross-site" });
      assert.equal(refusals, 1);
    }),
  },
  {
    name: "one manager mounted twice still answers a handler that throws",
    needs,
    run: staged(async ({ backstage, serve }) => {
      const behind = backstage();
      const served = await serve([behind, behind], ({ session }) => {
        session.data["dropped"] = true;
        throw new Error("broken");
      });
      const { status, cookies } = await served.get("/");
      assert.deepEqual([status, cookies], [500, []]);
      assert.deepEqual(behind.calls(), []);
    }),
  },
];
