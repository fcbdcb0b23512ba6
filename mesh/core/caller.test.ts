import { expect, test } from "vitest";
import { claimsIdentity } from "./caller.ts";

test.each([
  "mesh-caller",
  "mesh-customer-id",
  "mesh-principal",
  "mesh-role",
  "mesh-service",
  "mesh-user",
  "remote-user",
  "x-auth-request-email",
  "x-authenticated-userid",
  "x-customer-id",
  "x-forwarded-user",
  "x-remote-user",
  "x-user-id",
  "x-user-roles",
])("%s says who calls, and proves nothing", (name) => {
  expect(claimsIdentity(name)).toBe(true);
});

test.each([
  "authorization",
  "mesh-criticality",
  "mesh-operator-token",
  "mesh-service-token",
  "user-agent",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-request-id",
  "x-user-agent",
])("%s is no such header", (name) => {
  expect(claimsIdentity(name)).toBe(false);
});
