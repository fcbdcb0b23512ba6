import { create } from "@bufbuild/protobuf";
import { ServicePolicySchema } from "../../gen/mesh/policy/v1/policy_pb.ts";
import { policies } from "../../mesh/contract/policy.ts";
import { readConfig } from "../../mesh/core/config.ts";
import { meshClient, openTarget } from "../../mesh/rpc/client/client.ts";
import { openTelemetry } from "../../mesh/telemetry/open-telemetry.ts";
import { telemetrySettings } from "../../mesh/telemetry/settings.ts";
import { ItemService, TIMEOUT_MS } from "../data-plane/contract.ts";
import { BULKHEAD, type Client, HOST } from "../data-plane/peer.ts";

/** The whole client stack over several endpoints, with the metrics of a service by default. */
export async function openClient(...ports: number[]): Promise<Client> {
  const wide = create(ServicePolicySchema, { bulkhead: { maxConcurrent: BULKHEAD } });
  const target = openTarget(
    {
      target: { scheme: "static", endpoints: ports.map((port) => ({ host: HOST, port })) },
      protocol: "grpc",
      service: ItemService,
    },
    {
      policies: policies({ methods: {}, services: { [ItemService.typeName]: wide } }),
      telemetry: openTelemetry(readConfig(telemetrySettings, {}), { service: "bench", instance: "client" }),
    },
  );
  const client = meshClient(ItemService, target);
  return {
    echo: ({ id, n, tags }) => client.echo({ id, n, tags: tags as string[] }, { timeoutMs: TIMEOUT_MS }),
  };
}
