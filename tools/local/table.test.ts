import { expect, test } from "vitest";
import { formatTable } from "./table.ts";

test("columns are as wide as their widest cell", () => {
  const rows = [
    ["service", "port"],
    ["order", "50053"],
    ["notification", "1"],
  ];
  expect(formatTable(rows)).toBe("service       port\norder         50053\nnotification  1");
});
