import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { FaultSchema } from "../../../gen/mesh/admin/v1/admin_service_pb.ts";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { readConfig } from "../../core/config.ts";
import { manualClock } from "../../testing/clock.ts";
import { refusalOf } from "../../testing/refusal.ts";
import { testServer } from "../../testing/server.ts";
import { WIRE_PROTOCOLS } from "../../testing/wire-protocols.ts";
import { type FaultSettings, faultSetting, faultsOnDemand } from "./faults.ts";

const GET = `${ProductService.typeName}/GetProduct`;

const settingOf = (raw: string): FaultSettings =>
  readConfig({ faults: faultSetting("MESH_FAULTS") }, { MESH_FAULTS: raw }).faults;

const fault = (init: Omit<MessageInitShape<typeof FaultSchema>, "$typeName">) => create(FaultSchema, init);

/** A product service that fails on demand, and what its handlers were asked. */
async function spoiled(settings: FaultSettings, chances: readonly number[] = []) {
  const clock = manualClock();
  const asked: string[] = [];
  const left = [...chances];
  const faults = faultsOnDemand({
    settings,
    isOperator: (header) => header.get("x-operator") === "yes",
    clock,
    random: () => left.shift() ?? 0,
  });
  const server = await testServer(
    ProductService,
    {
      getProduct({ productId }) {
        asked.push(productId);
        return {};
      },
      listProducts() {
        asked.push("list");
        return {};
      },
    },
    { faults: faults.interceptor, clock },
  );
  const [protocol] = WIRE_PROTOCOLS;
  if (!protocol) throw new Error("there is no protocol");
  const client = createClient(ProductService, protocol.open(server));
  const get = (headers: Record<string, string> = {}) => client.getProduct({ productId: "p1" }, { headers });
  return { faults, clock, asked, client, get };
}

const INJECTED = { code: "NotFound", reason: "FAULT_INJECTED", domain: "mesh.weft" };

test("a method fails with the code that an operator switched on, before its handler; others do not", async () => {
  const { faults, asked, client, get } = await spoiled(settingOf("on"));
  faults.set([fault({ method: GET, code: Code.NotFound })]);
  expect(await refusalOf(get())).toEqual(INJECTED);
  await client.listProducts({});
  expect(asked).toEqual(["list"]);
  faults.set([]);
  await get();
  expect(asked).toEqual(["list", "p1"]);
});

test.each([GET, `${ProductService.typeName}/*`, "*"])("a fault of %s meets GetProduct", async (method) => {
  const { faults, get } = await spoiled(settingOf("on"));
  faults.set([fault({ method, code: Code.NotFound })]);
  expect(await refusalOf(get())).toEqual(INJECTED);
});

test("a fault meets the share of the calls that it names", async () => {
  const { faults, asked, get } = await spoiled(settingOf("on"), [0.24, 0.25, 0.9]);
  faults.set([fault({ method: "*", code: Code.NotFound, codePercent: 25 })]);
  const codes = [];
  for (let i = 0; i < 3; i++) {
    codes.push(
      await get().then(
        () => "answered",
        (error) => Code[ConnectError.from(error).code],
      ),
    );
  }
  expect(codes).toEqual(["NotFound", "answered", "answered"]);
  expect(asked).toHaveLength(2);
});

test("a delayed call is answered when its delay is over", async () => {
  const { faults, clock, asked, get } = await spoiled(settingOf("on"));
  faults.set([fault({ method: GET, delay: durationFromMs(3_000) })]);
  const call = get();
  let isAnswered = false;
  void call.then(() => {
    isAnswered = true;
  });
  // The deadline of the call sleeps too.
  await clock.whenSleeping(4);
  clock.advance(2_999);
  expect([isAnswered, asked]).toEqual([false, []]);
  clock.advance(1);
  await call;
  expect(asked).toEqual(["p1"]);
});

test("one call fails by its headers, if its caller is an operator (A33)", async () => {
  const { asked, get } = await spoiled(settingOf("on"));
  const headers = { "x-envoy-fault-abort-grpc-request": "5" };
  await get(headers);
  expect(await refusalOf(get({ ...headers, "x-operator": "yes" }))).toEqual(INJECTED);
  await get();
  expect(asked).toEqual(["p1", "p1"]);
});

test.each(["", "99", "x", "-1", "5.5"])("an abort header of %j asks for nothing", async (value) => {
  const { asked, get } = await spoiled(settingOf("on"));
  await get({ "x-envoy-fault-abort-grpc-request": value, "x-operator": "yes" });
  expect(asked).toEqual(["p1"]);
});

test("an instance fails from its start if its setting says so", async () => {
  const setting = { faults: [{ method: GET, code: "NOT_FOUND" }] };
  const { get } = await spoiled(settingOf(JSON.stringify(setting)));
  expect(await refusalOf(get())).toEqual(INJECTED);
});

test("where faults are off, nobody can switch them on, nor ask for one", async () => {
  const { faults, asked, get } = await spoiled(settingOf("off"));
  const set = async () => faults.set([fault({ method: "*", code: Code.NotFound })]);
  await expect(set()).rejects.toMatchObject({ reason: "FAULTS_OFF", code: Code.FailedPrecondition });
  await get({ "x-envoy-fault-abort-grpc-request": "5", "x-operator": "yes" });
  expect(asked).toEqual(["p1"]);
});

test.each([
  ["yes", "must be off, on or the JSON"],
  ['{"faults": [{"methods": "x"}]}', "must be off, on or the JSON"],
  ['{"faults": [{"method": "*", "codePercent": 101}]}', "code_percent"],
])("a setting of %s is refused: %s", (raw, text) => {
  expect(() => settingOf(raw)).toThrow(text);
});

test("a call that is given up while it is delayed does not reach its handler", async () => {
  const { faults, clock, asked, client, get } = await spoiled(settingOf("on"));
  faults.set([fault({ method: GET, delay: durationFromMs(3_000) })]);
  const leaving = new AbortController();
  const call = client.getProduct({ productId: "left" }, { signal: leaving.signal });
  await clock.whenSleeping(4);
  leaving.abort();
  await expect(call).rejects.toMatchObject({ code: Code.Canceled });
  await clock.whenSleeping(2);
  faults.set([]);
  await get();
  expect(asked).toEqual(["p1"]);
});
