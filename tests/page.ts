import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { build } from "vite";
import { expect } from "vitest";
import type { CustomerService } from "../gen/shop/customer/v1/customer_service_pb.ts";
import { atEnd } from "../mesh/testing/at-end.ts";
import { CHROMIUM_FLAGS, findChromium } from "./chromium.ts";

const ROOT = resolve(import.meta.dirname, "..");
const SCREENSHOTS = join(ROOT, "tests/screenshots");
const AXE = readFileSync(join(ROOT, "node_modules/axe-core/axe.min.js"), "utf8");

/** Customers of the test data. */
export const CUSTOMERS = {
  ada: { email: "ada@example.com", password: "ada-demo" },
  grace: { email: "grace@example.com", password: "grace-demo" },
};

/** A small phone, and a desk. */
export const VIEWPORTS = { phone: { width: 375, height: 740 }, desktop: { width: 1200, height: 800 } };

/** Builds the shop's page as `make web` does, for this test file only, and returns its folder. */
export async function buildPage(): Promise<string> {
  const outDir = mkdtempSync(join(tmpdir(), "weft-page-"));
  atEnd(async () => rmSync(outDir, { recursive: true, force: true }));
  await build({ configFile: join(ROOT, "web/vite.config.ts"), build: { outDir }, logLevel: "warn" });
  return outDir;
}

/** Starts Chromium for a test file. */
export async function openBrowser(): Promise<Browser> {
  const browser = await chromium.launch({ executablePath: await findChromium(), args: CHROMIUM_FLAGS });
  atEnd(() => browser.close());
  return browser;
}

/** A customer's window with nothing in it yet, or of one who has this `session`. Whatever the page itself fails at fails the test at its end. */
export async function openWindow(
  browser: Browser,
  baseURL: string,
  { session, ...options }: BrowserContextOptions & { readonly session?: string } = {},
): Promise<Page> {
  const context = await browser.newContext({ baseURL, viewport: VIEWPORTS.desktop, ...options });
  if (session !== undefined) await context.addInitScript(keepSession, session);
  // Less than a test may take, so that it says what it waited for.
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const failures: string[] = [];
  page.on("pageerror", (error) => failures.push(error.message));
  page.on("console", (message) => {
    // Chromium itself reports each call that fails; the page has to tell its customer, and tests look at that.
    const isOfNetwork = message.text().startsWith("Failed to load resource");
    if (message.type() === "error" && !isOfNetwork) failures.push(message.text());
  });
  atEnd(async () => {
    await context.close();
    expect(failures).toEqual([]);
  });
  return page;
}

/** Looks for what keeps people out: all that axe-core finds, and that one has to scroll sideways. */
export async function expectAccessible(page: Page): Promise<void> {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: {
        run(): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>;
      };
    };
    const { violations } = await axe.run();
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => ({ id, html, failureSummary })),
    );
  });
  expect(found).toEqual([]);
  const [width = 0, seen = 0] = await page.evaluate<number[]>(
    "[document.documentElement.scrollWidth, innerWidth]",
  );
  expect(width, "wider than the window").toBeLessThanOrEqual(seen);
}

/** Keeps a picture of the page in `tests/screenshots`, for people to look at. */
export async function keepScreenshot(page: Page, name: string): Promise<void> {
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}

/** Signs in, in the dialog that the page asks with. */
export async function signIn(
  page: Page,
  { email, password }: { email: string; password: string },
): Promise<void> {
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("E-mail").fill(email);
  await dialog.getByLabel("Password").fill(password);
  await dialog.getByRole("button", { name: "Sign in", exact: true }).click();
}

/**
 * The session of a customer of the test data as the page keeps it, for windows whose customer has signed in before: the shop
 * takes so many sign-ins in a minute.
 */
export async function sessionOf(customers: Customers, name: "ada" | "grace"): Promise<string> {
  const { accessToken, expireTime } = await customers.signIn(CUSTOMERS[name]);
  return JSON.stringify({
    customerId: `cust-${name}`,
    name: `${name[0]?.toUpperCase()}${name.slice(1)}`,
    accessToken,
    endsAtMs: expireTime && timestampMs(expireTime),
  });
}

type Customers = Client<typeof CustomerService>;

/** Runs in the page, before its own scripts. What the page has put there since stays. */
function keepSession(session: string): void {
  const { sessionStorage } = globalThis as unknown as { sessionStorage: Storage };
  if (sessionStorage.getItem("weft.signed-in")) return;
  sessionStorage.setItem("weft.signed-in", "true");
  sessionStorage.setItem("weft.session", session);
}

interface Storage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}
