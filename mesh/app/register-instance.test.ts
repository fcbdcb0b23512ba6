import { expect, test } from "vitest";
import { policies } from "../contract/policy.ts";
import { readConfig } from "../core/config.ts";
import { discover } from "../discovery/discover.ts";
import type { Endpoint } from "../discovery/target.ts";
import { openNats } from "../nats/connection.ts";
import { noTelemetry } from "../telemetry/telemetry.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { recordingLog } from "../testing/log.ts";
import { until } from "../testing/until.ts";
import type { Parts } from "./parts.ts";
import { registerInstance } from "./register-instance.ts";
import { portSetting, serviceSettings } from "./settings.ts";

const broker = await testBroker();

/** The parts of an instance with these settings that a registration looks at. */
function instance(service: string, env: Readonly<Record<string, string>>) {
  const { log, lines } = recordingLog();
  const nats = openNats({ url: broker.url, name: "test", log });
  atEnd(() => nats.close());
  const config = readConfig(
    { ...serviceSettings, port: portSetting(0) },
    { DATABASE_URL: "postgres://none", NATS_URL: broker.url, MESH_AUTH: "off", INSTANCE: "one", ...env },
  );
  const parts = { service, nats, log, config, telemetry: noTelemetry, policies: policies() };
  const found: (readonly Endpoint[])[] = [];
  const watching = discover({ scheme: "nats", service }, { log, nats }, (list) => void found.push(list));
  atEnd(() => watching.stop());
  return { parts: parts as unknown as Parts, lines, latest: () => found.at(-1) };
}

test("an instance is found where it listens, or where it says that others reach it, and not once it has stopped", async () => {
  for (const [service, env, host] of [
    ["here", { HOST: "127.0.0.1" }, "127.0.0.1"],
    ["there", { HOST: "0.0.0.0", ADVERTISED_HOST: "10.1.2.3" }, "10.1.2.3"],
  ] as const) {
    const { parts, latest } = instance(service, env);
    const registration = registerInstance(parts, 4_711);
    await until(() => latest()?.length === 1);
    expect(latest()).toEqual([{ host, port: 4_711 }]);
    await registration.stop();
    await until(() => latest()?.length === 0);
  }
});

test.each(["0.0.0.0", "::"])(
  "one that listens at %s and does not say where it is reached is not registered",
  async (HOST) => {
    const { parts, lines } = instance("nowhere", { HOST });
    const registration = registerInstance(parts, 4_711);
    expect(lines.map(({ msg }) => msg)).toContainEqual(
      expect.stringContaining("not registered: ADVERTISED_HOST"),
    );
    await registration.stop();
  },
);
