import { expect, test } from "vitest";
import { keepScreenshot, openBrowser, openWindow } from "./page.ts";
import { openShop } from "./shop.ts";

const shop = await openShop();
const url = `http://${shop.system.address("gateway")}`;
const browser = await openBrowser();

test("/docs shows every operation, and one can be tried", async () => {
  const page = await openWindow(browser, url);
  await page.goto("/docs#/shop.product.v1.ProductService/shop.product.v1.ProductService.ListProducts");
  await page.getByText("Place order", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Try it out" }).click();
  await page.getByRole("button", { name: "Execute" }).click();
  // What it was answered stands beside an example, which knows no products.
  await page.locator(".live-responses-table").getByText("prod-espresso").first().waitFor();
  await keepScreenshot(page, "docs");
});

test("/docs/events.html shows every event, who publishes it, who handles it, and what it holds", async () => {
  const page = await openWindow(browser, url);
  await page.goto("/docs/events.html");
  const event = page.locator("[id='shop.order.v1.OrderConfirmed']");
  await event.getByText("evt.order.v1.{partition}.OrderConfirmed").waitFor();
  const text = await event.innerText();
  expect(text).toContain("audit__orders, ");
  expect(text).toMatch(/lines\s+list of OrderLine\. What was bought\./);
  expect(await page.locator("section").count()).toBeGreaterThan(20);
});
