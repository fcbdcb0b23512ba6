import { expect, test } from "vitest";
import { Unsent } from "./unsent.ts";

test("bytes leave in their order, wherever they are cut", () => {
  for (let size = 1; size <= 7; size++) {
    const unsent = new Unsent();
    for (const part of ["ab", "", "c", "defg"]) unsent.push(Buffer.from(part));
    expect(unsent.bytes).toBe(7);
    let text = "";
    while (unsent.bytes > 0) {
      const bytes = Math.min(size, unsent.bytes);
      const out = Buffer.alloc(bytes + 2, "-");
      unsent.moveTo(out, 1, bytes);
      expect([out[0], out[bytes + 1]]).toEqual([45, 45]);
      text += out.toString("latin1", 1, bytes + 1);
    }
    expect(text).toBe("abcdefg");
  }
});
