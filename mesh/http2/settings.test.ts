import { expect, test } from "vitest";
import { settings as payloadOf } from "./raw-peer.ts";
import { applySettings, initialSettings, settingsPayload } from "./settings.ts";

function applied(values: Record<number, number>, mayPush = true) {
  const settings = initialSettings();
  const payload = payloadOf(values);
  applySettings(settings, payload, 0, payload.length, mayPush);
  return settings;
}

test("what we say is read back as we meant it", () => {
  const payload = settingsPayload({
    refusesPush: true,
    maxConcurrentStreams: 7,
    initialWindowBytes: 100_000,
    maxHeaderListBytes: 9,
  });
  const settings = initialSettings();
  applySettings(settings, payload, 0, payload.length, false);
  expect(settings).toEqual({
    ...initialSettings(),
    maxConcurrentStreams: 7,
    initialWindowBytes: 100_000,
    maxHeaderListBytes: 9,
  });
});

test("the last of two values stays, and what nobody knows is ignored", () => {
  const payload = Buffer.concat([payloadOf({ 4: 1 }), payloadOf({ 4: 2, 153: 1, 1: 0 })]);
  const settings = initialSettings();
  applySettings(settings, payload, 0, payload.length, true);
  expect(settings).toEqual({ ...initialSettings(), initialWindowBytes: 2, headerTableBytes: 0 });
});

test.each([
  ["ENABLE_PUSH of 2", { 2: 2 }, "PROTOCOL_ERROR"],
  ["a window of 2^31", { 4: 2 ** 31 }, "FLOW_CONTROL_ERROR"],
  ["frames of less than everybody takes", { 5: 16_383 }, "PROTOCOL_ERROR"],
  ["frames of 2^24", { 5: 2 ** 24 }, "PROTOCOL_ERROR"],
])("%s ends the connection", (_, values, name) => {
  expect(() => applied(values)).toThrow(name);
});

test("the limits themselves are allowed", () => {
  expect(applied({ 2: 1, 4: 2 ** 31 - 1, 5: 2 ** 24 - 1 })).toMatchObject({ maxFrameBytes: 2 ** 24 - 1 });
  expect(applied({ 5: 16_384, 3: 0 })).toMatchObject({ maxFrameBytes: 16_384, maxConcurrentStreams: 0 });
});

test("a server may not say that it takes pushes", () => {
  expect(() => applied({ 2: 1 }, false)).toThrow("PROTOCOL_ERROR");
  expect(() => applied({ 2: 0 }, false)).not.toThrow();
});

test("a length that is no multiple of 6 ends the connection", () => {
  expect(() => applySettings(initialSettings(), Buffer.alloc(7), 0, 7, true)).toThrow("FRAME_SIZE_ERROR");
});
