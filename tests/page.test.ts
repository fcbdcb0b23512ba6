import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import {
  buildPage,
  CUSTOMERS,
  expectAccessible,
  keepScreenshot,
  openBrowser,
  openWindow,
  sessionOf,
  signIn,
  VIEWPORTS,
} from "./page.ts";
import { eventually, openShop } from "./shop.ts";

const shop = await openShop({ PAGE_FOLDER: await buildPage() });
const url = `http://${shop.system.address("gateway")}`;
const browser = await openBrowser();

const GRACE = CUSTOMERS.grace;
const session = await sessionOf(shop.customers, "grace");

/** Has bought beans, and says so many things of them. */
async function reviewBeans(count: number): Promise<void> {
  const line = { productId: "prod-espresso", quantity: 1 };
  const customerId = "cust-ada";
  await shop.orders.placeOrder({ customerId, lines: [line], paymentToken: "tok_ok", wait: { seconds: 30n } });
  for (let number = 1; number <= count; number++) {
    const review = { productId: "prod-espresso", customerId, rating: 4, title: `Cup ${number}` };
    // Review learns of the order a moment later.
    await eventually(() => shop.reviews.createReview(review));
  }
}
await reviewBeans(12);

const heading = (page: Page, name: string) => page.getByRole("heading", { name, exact: true });

const LOOKS = Object.entries(VIEWPORTS).flatMap(([size, viewport]) =>
  (["light", "dark"] as const).map(
    (colorScheme) => [`${size}-${colorScheme}`, { viewport, colorScheme }] as const,
  ),
);

test.each(LOOKS)(
  "%s: each page can be read and used by everyone",
  async (look, options) => {
    const page = await openWindow(browser, url, options);
    const check = async (name: string) => {
      await expectAccessible(page);
      await keepScreenshot(page, `${name}-${look}`);
    };

    await page.goto("/");
    await heading(page, "Burr grinder").waitFor();
    await check("catalogue");

    await page.getByRole("link", { name: "Espresso beans, 1 kg" }).click();
    await page.getByRole("button", { name: "Add to the basket" }).click();
    await page.getByText("Added one piece.").waitFor();
    await page.getByText("Cup 12").waitFor();
    await check("product");

    await page.getByRole("link", { name: "Go to the basket" }).click();
    await page.getByText("€12.99 each").waitFor();
    await check("basket");

    await page.getByRole("button", { name: "Place the order" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByRole("dialog").getByText("Fill this in.").first().waitFor();
    await check("sign-in");

    await signIn(page, GRACE);
    await page.getByText("Confirmed", { exact: true }).waitFor();
    await page.getByText("€12.99 was charged.").waitFor();
    await check("order");

    await page.getByRole("link", { name: "Orders" }).click();
    await page.getByText("Confirmed", { exact: true }).first().waitFor();
    await check("orders");

    await page.goto("/products/prod-none");
    await page.getByText("There is no such product").waitFor();
    await check("no-product");
  },
  60_000,
);

test("what the gateway serves is the page as it was built", async () => {
  const { headers } = await fetch(`${url}/products/prod-espresso`);
  expect(headers.get("content-type")).toBe("text/html;charset=utf-8");
  expect(headers.get("content-security-policy")).toContain("script-src 'self';");
  expect((await fetch(`${url}/v1/none`)).status).toBe(404);
  const [, script] = /<script[^>]* src="([^"]+)"/.exec(await (await fetch(url)).text()) ?? [];
  const sent = await fetch(`${url}${script}`, { method: "HEAD", headers: { "accept-encoding": "br" } });
  expect(sent.headers.get("content-encoding")).toBe("br");
  expect(Number(sent.headers.get("content-length"))).toBeLessThan(200_000);
});

test("a search is in the address, and finds", async () => {
  const page = await openWindow(browser, url);
  await page.goto("/");
  await page.getByRole("searchbox").fill("grinder");
  await page.getByRole("searchbox").press("Enter");
  await page.getByText("1 product with “grinder”.").waitFor();
  expect(new URL(page.url()).search).toBe("?q=grinder");
  expect(await page.getByRole("listitem").count()).toBe(1);
  await page.reload();
  await page.getByText("1 product with “grinder”.").waitFor();
  await page.goto("/?q=teapot");
  await page.getByText("No products with “teapot”.").waitFor();
});

test("older reviews are asked for over REST", async () => {
  const page = await openWindow(browser, url);
  await page.goto("/products/prod-espresso");
  await page.getByText("Cup 3").waitFor();
  expect(await page.getByText("Cup 2", { exact: true }).count()).toBe(0);
  const asked = page.waitForRequest(/\/v2\/products\/prod-espresso\/reviews\?/);
  await page.getByRole("button", { name: "Older reviews" }).click();
  await asked;
  await page.getByText("Cup 1", { exact: true }).waitFor();
  expect(await page.getByRole("button", { name: "Older reviews" }).count()).toBe(0);
});

test("focus goes to the heading of a page that was gone to, and the way there is in the history", async () => {
  const page = await openWindow(browser, url);
  await page.goto("/");
  await page.getByRole("link", { name: "Burr grinder" }).click();
  await page.locator("h1:focus", { hasText: "Burr grinder" }).waitFor();
  expect(await page.title()).toBe("Burr grinder · Weft");
  await page.goBack();
  await heading(page, "For sale").waitFor();
});

test("what goes into the basket in one tab is in it in the others", async () => {
  const page = await openWindow(browser, url);
  const other = await page.context().newPage();
  await other.goto("/basket");
  await other.getByText("There is nothing in it yet.").waitFor();
  await page.goto("/products/prod-grinder");
  await page.getByRole("button", { name: "Add to the basket" }).click();
  await other.getByText("€89.00 each").waitFor();
});

test("an order is placed with the keys alone", async () => {
  const page = await openWindow(browser, url);
  const { keyboard } = page;
  /** Goes on with Tab until the focus is on what has this name. */
  const tabTo = async (name: string) => {
    for (let steps = 0; steps < 60; steps++) {
      await keyboard.press("Tab");
      const isThere = await page.evaluate(`(({ activeElement: at }) =>
        [at.getAttribute("aria-label"), at.textContent, at.labels?.[0]?.textContent]
          .some((each) => each?.trim() === ${JSON.stringify(name)}))(document)`);
      if (isThere) return;
    }
    throw new Error(`no way leads to ${name}`);
  };
  await page.goto("/");
  await heading(page, "Burr grinder").waitFor();
  await tabTo("Skip to the content");
  await keyboard.press("Enter");
  await tabTo("Espresso beans, 1 kg");
  await keyboard.press("Enter");
  await page.getByRole("button", { name: "Add to the basket" }).waitFor();
  await tabTo("Pieces");
  await keyboard.press("ArrowUp");
  await tabTo("Add to the basket");
  await keyboard.press("Enter");
  await tabTo("Go to the basket");
  await keyboard.press("Enter");
  await page.getByText("€12.99 each").waitFor();
  await tabTo("Place the order");
  await keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  // The dialog has the focus, on its first field, and keeps it.
  await keyboard.type(GRACE.email);
  await keyboard.press("Tab");
  await keyboard.type(GRACE.password);
  await keyboard.press("Enter");
  await page.getByText("Confirmed", { exact: true }).waitFor();
  await page.getByText("€25.98 was charged.").waitFor();
});

test("who is new makes an account; what is wrong is said beside its field, which has the focus", async () => {
  const page = await openWindow(browser, url);
  await page.goto("/");
  await page.getByRole("button", { name: "Sign in" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Make an account" }).click();
  await dialog.getByLabel("E-mail").fill("nobody");
  await dialog.getByLabel("Name").fill("Nova");
  await dialog.getByLabel("Password").fill("short");
  const send = dialog.getByRole("button", { name: "Make the account" });
  await send.click();
  await dialog.locator("[aria-invalid=true]").first().waitFor();
  const problemOf = async (label: string) => {
    const ids = await dialog.getByLabel(label).getAttribute("aria-describedby");
    return page.locator(`[id="${ids?.split(" ").at(-1)}"]`).textContent();
  };
  expect(await problemOf("E-mail")).toMatch(/valid email/);
  expect(await problemOf("Password")).toMatch(/at least 8/);
  expect(await dialog.getByLabel("Name").getAttribute("aria-invalid")).toBe("false");
  await page.locator("[name=email]:focus").waitFor();

  await dialog.getByLabel("E-mail").fill("ada@example.com");
  await dialog.getByLabel("Password").fill("long enough");
  await send.click();
  await dialog.getByText("There is an account with this address already.").waitFor();
  await dialog.getByLabel("E-mail").fill("nova@example.com");
  await send.click();
  await dialog.waitFor({ state: "hidden" });
  await page.getByText("Nova", { exact: true }).waitFor();
  await page.reload();
  await page.getByText("Nova", { exact: true }).waitFor();
});

test("a wrong password is said, and who has signed out is forgotten", async () => {
  const page = await openWindow(browser, url);
  await page.goto("/orders");
  await page.getByRole("main").getByRole("button", { name: "Sign in" }).click();
  await signIn(page, { ...GRACE, password: "wrong" });
  await page.getByRole("dialog").getByText("Address and password do not belong together.").waitFor();
  await signIn(page, GRACE);
  await page.getByText("Grace", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("Sign in to see what you have ordered.").waitFor();
  expect(await page.evaluate("sessionStorage.getItem('weft.session')")).toBeNull();
});

/** Orders so many pieces of a product with a card, and returns once the page of the order is there. */
async function order(page: Page, productId: string, pieces: number, card: string): Promise<void> {
  await page.goto(`/products/${productId}`);
  await page.getByLabel("Pieces", { exact: true }).fill(String(pieces));
  await page.getByRole("button", { name: "Add to the basket" }).click();
  await page.getByRole("link", { name: "Go to the basket" }).click();
  await page.getByLabel("Pay with").selectOption(card);
  await page.getByRole("button", { name: "Place the order" }).click();
  await heading(page, "Your order").waitFor();
}

test("a declined card is said, and what can be done", async () => {
  const page = await openWindow(browser, url, { session });
  await order(page, "prod-espresso", 1, "tok_declined");
  await page.getByText("The card was declined. Order again with another one. Nothing was charged.").waitFor();
  await page.getByText("Rejected", { exact: true }).waitFor();
  await expectAccessible(page);
  await keepScreenshot(page, "declined");
});

test("more than there is is said, and costs nothing", async () => {
  const page = await openWindow(browser, url, { session });
  await order(page, "prod-rare", 2, "tok_ok");
  await page.getByText("There are fewer pieces than you ordered.").waitFor();
  expect(await page.getByText(/€.* was charged/).count()).toBe(0);
});

test("an order is watched from pending to confirmed, and can be called off before", async () => {
  const page = await openWindow(browser, url, { session });
  await order(page, "prod-espresso", 1, "tok_slow");
  await page.getByText("On its way", { exact: true }).waitFor();
  await keepScreenshot(page, "pending");
  await page.getByText("Confirmed", { exact: true }).waitFor();
  expect(await page.getByRole("button", { name: "Cancel the order" }).count()).toBe(0);
  await page.getByText("€12.99 was charged.").waitFor();
});

test("what is wrong with a number of pieces is said beside it", async () => {
  const page = await openWindow(browser, url, { session });
  await page.goto("/products/prod-espresso");
  await page.getByRole("button", { name: "Add to the basket" }).click();
  await page.getByRole("link", { name: "Go to the basket" }).click();
  const pieces = page.getByLabel("Pieces of Espresso beans, 1 kg");
  await pieces.fill("5000");
  await page.getByRole("button", { name: "Place the order" }).click();
  await page.getByText("must be greater than or equal to 1 and less than or equal to 1000").waitFor();
  expect(await pieces.getAttribute("aria-invalid")).toBe("true");
  await page.locator("[type=number]:focus").waitFor();
  await pieces.fill("1");
  await page.getByRole("button", { name: "Place the order" }).click();
  await page.getByText("Confirmed", { exact: true }).waitFor();
});

test("a buyer writes a review of three and a half stars by the keys, and it is there with its rating", async () => {
  const page = await openWindow(browser, url, { session });
  await order(page, "prod-grinder", 1, "tok_ok");
  await page.getByText("Confirmed", { exact: true }).waitFor();
  await page.getByRole("link", { name: "Burr grinder" }).click();
  const rating = page.getByRole("slider", { name: "Your rating" });
  await rating.focus();
  await rating.press("ArrowLeft");
  expect(await rating.getAttribute("aria-valuetext")).toBe("3.5 of 5 stars");
  await page.getByLabel("In one line").fill("x".repeat(201));
  const post = page.getByRole("button", { name: "Post the review" });
  await post.click();
  await page.getByText("at most 200 characters").waitFor();
  await page.getByLabel("In one line").fill("Fine, and loud");
  await page.getByLabel("What you have to say").fill("It wakes the house\nbefore the coffee does.");
  // Review learns of the order a moment after its customer.
  await eventually(async () => {
    await post.click();
    await page.getByText("Thank you, your review is here.").waitFor({ timeout: 2_000 });
  });
  await page.getByText("Fine, and loud").waitFor();
  await page.getByRole("img", { name: "3.5 of 5 stars" }).first().waitFor();
  await page.getByText("3.5 from 1 review").waitFor();
  expect(await page.getByText("Fine, and loud").count()).toBe(1);
  await expectAccessible(page);
  await keepScreenshot(page, "reviewed");
});

test("who has not bought is told so, and keeps what was written", async () => {
  const page = await openWindow(browser, url, { session });
  await page.goto("/products/prod-gone");
  await page.getByLabel("In one line").fill("Never had one");
  await page.getByRole("button", { name: "Post the review" }).click();
  await page.getByText("Only who has bought this can review it.").waitFor();
  expect(await page.getByLabel("In one line").inputValue()).toBe("Never had one");
});

test("an order of somebody else is not shown", async () => {
  const { order: other } = await shop.orders.placeOrder({
    customerId: "cust-ada",
    lines: [{ productId: "prod-espresso", quantity: 1 }],
    paymentToken: "tok_ok",
  });
  const page = await openWindow(browser, url, { session });
  await page.goto(`/orders/${other?.orderId}`);
  await page.getByText("This order cannot be shown").waitFor();
  await page.getByText("There is no such order.").waitFor();
});
