import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { atEnd } from "../mesh/testing/at-end.ts";
import {
  buildPage,
  CUSTOMERS,
  expectAccessible,
  keepScreenshot,
  openBrowser,
  openWindow,
  sessionOf,
  signIn,
} from "./page.ts";
import { eventually, openShop } from "./shop.ts";

const shop = await openShop({ PAGE_FOLDER: await buildPage() });
const { system } = shop;
const url = `http://${system.address("gateway")}`;
const browser = await openBrowser();

const session = await sessionOf(shop.customers, "ada");
const PLACE_ORDER = "**/shop.order.v1.OrderService/PlaceOrder";

const place = (page: Page) => page.getByRole("button", { name: "Place the order" });
const state = (page: Page, name: string) => page.getByText(name, { exact: true }).waitFor();

/** Has beans in the basket, and has signed in. */
async function readyToOrder(card: string): Promise<Page> {
  const page = await openWindow(browser, url, { session });
  await page.goto("/products/prod-espresso");
  await page.getByRole("button", { name: "Add to the basket" }).click();
  await page.getByRole("link", { name: "Go to the basket" }).click();
  await page.getByLabel("Pay with").selectOption(card);
  return page;
}

/** Stops a part of the shop until the test ends, or `system.resume`. */
async function halt(part: string): Promise<void> {
  await system.halt(part);
  atEnd(() => system.resume(part));
}

async function ordersOfAda(): Promise<number> {
  return (await shop.orders.listOrders({ customerId: "cust-ada", pageSize: 100 })).orders.length;
}

test("while payment is down an order is pending, the page says what is missing, and goes on by itself", async () => {
  const page = await readyToOrder("tok_ok");
  await halt("payment-1");
  await place(page).click();
  await state(page, "On its way");
  await page.getByText("Payment: cannot be shown just now.").waitFor();
  await expectAccessible(page);
  await keepScreenshot(page, "payment-down");
  await system.resume("payment-1");
  await state(page, "Confirmed");
  await page.getByText("€12.99 was charged.").waitFor();
}, 90_000);

test("an order that is pending for too long can be called off", async () => {
  const page = await readyToOrder("tok_ok");
  await halt("payment-1");
  await place(page).click();
  await state(page, "On its way");
  await page.getByRole("button", { name: "Cancel the order" }).click();
  await page.getByText("It is being called off.").waitFor();
  await system.resume("payment-1");
  await state(page, "Cancelled");
  await page.getByText("You have called it off. Nothing was charged.").waitFor();
}, 90_000);

test("a product instance that is killed while an order is under way is not noticed", async () => {
  const page = await readyToOrder("tok_slow");
  await place(page).click();
  await state(page, "On its way");
  system.kill("product-1", "SIGKILL");
  await state(page, "Confirmed");
}, 90_000);

test("a gateway that is started again while an order is watched is found again", async () => {
  const page = await readyToOrder("tok_ok");
  await halt("payment-1");
  await place(page).click();
  await state(page, "On its way");
  await halt("gateway-1");
  await page.getByText("The connection was lost.").waitFor();
  await keepScreenshot(page, "connection-lost");
  await system.resume("gateway-1");
  await page.getByText("The connection was lost.").waitFor({ state: "detached" });
  await system.resume("payment-1");
  await state(page, "Confirmed");
}, 90_000);

test("an order whose answer is lost is sent again by itself, and is one order", async () => {
  const page = await readyToOrder("tok_ok");
  const before = await ordersOfAda();
  const requestIds: string[] = [];
  await page.route(PLACE_ORDER, async (route) => {
    requestIds.push(route.request().postDataJSON().requestId);
    if (requestIds.length > 1) return route.continue();
    // It is carried out, and its answer does not come.
    await route.fetch();
    await route.abort("connectionreset");
  });
  await place(page).click();
  await state(page, "Confirmed");
  expect(requestIds).toHaveLength(2);
  expect(new Set(requestIds).size).toBe(1);
  expect(await ordersOfAda()).toBe(before + 1);
});

test("while the answers to an order are lost the page says so, also after a reload, and trying again is one order", async () => {
  const page = await readyToOrder("tok_ok");
  const before = await ordersOfAda();
  await page.route(PLACE_ORDER, async (route) => {
    await route.fetch();
    await route.abort("connectionreset");
  });
  await place(page).click();
  await page.getByText("The answer to your order did not come").waitFor();
  expect(await page.getByLabel("Pay with").isDisabled()).toBe(true);
  await expectAccessible(page);
  await keepScreenshot(page, "answer-lost");
  await page.reload();
  await page.getByText("The answer to your order did not come").waitFor();
  await page.unroute(PLACE_ORDER);
  await page.getByRole("button", { name: "Try again" }).click();
  await state(page, "Confirmed");
  expect(await ordersOfAda()).toBe(before + 1);
  await page.getByRole("link", { name: "Basket, 0 pieces" }).click();
  await page.getByText("There is nothing in it yet.").waitFor();
});

test("while the gateway is away the page says so, and what it could not ask for comes when it is back", async () => {
  const page = await openWindow(browser, url);
  await page.goto("/");
  await page.getByRole("heading", { name: "Burr grinder" }).waitFor();
  await halt("gateway-1");
  await page.getByRole("link", { name: "Burr grinder" }).click();
  await page.getByText("The shop cannot be reached.").waitFor();
  await keepScreenshot(page, "gateway-away");
  await system.resume("gateway-1");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("heading", { name: "Burr grinder" }).waitFor();
}, 90_000);

test("without review a product's page comes without its reviews, says so, and has them when they are back", async () => {
  const line = { productId: "prod-grinder", quantity: 1 };
  await shop.orders.placeOrder({
    customerId: "cust-ada",
    lines: [line],
    paymentToken: "tok_ok",
    wait: { seconds: 30n },
  });
  await eventually(() =>
    shop.reviews.createReview({
      productId: "prod-grinder",
      customerId: "cust-ada",
      rating: 4,
      title: "Even",
    }),
  );
  await halt("review-1");
  const page = await openWindow(browser, url);
  await page.goto("/products/prod-grinder");
  await page.getByText("Reviews: cannot be shown just now.").waitFor();
  await page.getByText("€89.00").waitFor();
  await expectAccessible(page);
  await keepScreenshot(page, "review-down");
  await system.resume("review-1");
  await eventually(async () => {
    await page.getByRole("button", { name: "Try again" }).click({ timeout: 1_000 });
    await page.getByText("Even", { exact: true }).waitFor({ timeout: 1_000 });
  });
  await page.getByText("Reviews: cannot be shown just now.").waitFor({ state: "detached" });
}, 90_000);

test("without product a page is what it was, and says so", async () => {
  const page = await openWindow(browser, url);
  await page.goto("/products/prod-grinder");
  await page.getByText("€89.00").waitFor();
  const products = system.instances.filter(({ service }) => service === "product");
  for (const { instance } of products) await halt(instance);
  // Until then the answer is as good as new.
  await eventually(async () => {
    await page.reload();
    await page.getByText("Price and stock: shown as last known.").waitFor({ timeout: 1_000 });
  });
  await page.getByText("€89.00").waitFor();
  await keepScreenshot(page, "product-down");
}, 90_000);

test("a session that has ended is begun again where the customer is, and the order goes on", async () => {
  const page = await readyToOrder("tok_ok");
  await page.evaluate(`(() => {
    const session = JSON.parse(sessionStorage.getItem("weft.session"));
    sessionStorage.setItem("weft.session", JSON.stringify({ ...session, endsAtMs: 1 }));
  })()`);
  await page.reload();
  await place(page).click();
  await page.getByRole("dialog").getByText("Your session has ended.").waitFor();
  await expectAccessible(page);
  await keepScreenshot(page, "session-ended");
  await signIn(page, CUSTOMERS.ada);
  await state(page, "Confirmed");
});

test("a token that is not taken is no way in: the customer signs in again, and the order goes on", async () => {
  const [head, claims] = JSON.parse(session).accessToken.split(".");
  const forged = JSON.stringify({ ...JSON.parse(session), accessToken: `${head}.${claims}.AAAA` });
  const page = await openWindow(browser, url, { session: forged });
  await page.goto("/products/prod-espresso");
  await page.getByRole("button", { name: "Add to the basket" }).click();
  await page.getByRole("link", { name: "Go to the basket" }).click();
  await place(page).click();
  await page.getByRole("dialog").getByText("Your session has ended.").waitFor();
  await signIn(page, CUSTOMERS.ada);
  await state(page, "Confirmed");
});

test("too many wrong passwords are said, and when to come back", async () => {
  const page = await openWindow(browser, url);
  await page.goto("/");
  await page.getByRole("button", { name: "Sign in" }).click();
  const blocked = page.getByText(
    /There were too many wrong passwords for this address\. Try again in \d+ \w+\./,
  );
  for (let tries = 0; tries < 12 && (await blocked.count()) === 0; tries++) {
    const answer = page.waitForResponse(/SignIn$/);
    await signIn(page, { email: "mallory@example.com", password: `guess ${tries}` });
    await answer;
  }
  await blocked.waitFor();
});

test("who would rather not sign in stays where everything is as it was", async () => {
  const page = await openWindow(browser, url);
  await page.goto("/products/prod-espresso");
  await page.getByRole("button", { name: "Add to the basket" }).click();
  await page.getByRole("link", { name: "Go to the basket" }).click();
  await place(page).click();
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByText("You need to sign in for this.").waitFor();
  expect(await place(page).isEnabled()).toBe(true);
  expect(await page.getByLabel("Pieces of Espresso beans, 1 kg").inputValue()).toBe("1");
});
