import { getOption, hasOption } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { contract, subscriptions } from "../../gen/mesh/event/v1/event_pb.ts";
import { AuditService } from "../../gen/shop/audit/v1/audit_service_pb.ts";
import { eventContract, subscriptionContract } from "../../mesh/contract/event.ts";
import { generatedFiles } from "../../mesh/testing/shop-contracts.ts";
import { contracts } from "./contracts.ts";

const files = await generatedFiles("shop", "_pb.ts");
const messages = files.flatMap((file) => file.messages).filter((message) => hasOption(message, contract));

test("every event of the contracts can be read here", () => {
  expect(messages.length).toBeGreaterThan(15);
  const unknown = messages.filter(({ typeName }) => contracts.getMessage(typeName) === undefined);
  expect(unknown.map(({ typeName }) => typeName)).toEqual([]);
});

test("every stream of the contracts is listened to", () => {
  const names = getOption(AuditService, subscriptions).map(({ name }) => name);
  const heard = names.map((name) => subscriptionContract(AuditService, name).stream);
  const published = new Set(messages.map((message) => eventContract(message).stream));
  expect([...published].filter((stream) => !heard.includes(stream))).toEqual([]);
});
