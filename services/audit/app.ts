import { ConsumerService } from "../../gen/mesh/admin/v1/consumer_pb.ts";
import { DeadLetterService } from "../../gen/mesh/admin/v1/dead_letter_pb.ts";
import { AuditService } from "../../gen/shop/audit/v1/audit_service_pb.ts";
import { measureDeadLetters } from "../../mesh/app/measure-dead-letters.ts";
import { openParts } from "../../mesh/app/parts.ts";
import { type App, serve } from "../../mesh/app/serve.ts";
import { followAdvisories } from "../../mesh/events/advisories.ts";
import { operatorsBy } from "../../mesh/rpc/server/operators.ts";
import type { Settings } from "./config.ts";
import { consumerService } from "./consumers.ts";
import { contracts } from "./contracts.ts";
import { deadLetterService } from "./dead-letters.ts";
import { archive } from "./events.ts";
import { auditService } from "./service.ts";

/** Builds the audit service and starts it. */
export async function startApp(settings: Settings): Promise<App> {
  const parts = await openParts("audit", settings, new URL("migrations/", import.meta.url));
  const operators = operatorsBy(settings.operatorToken);
  const { sql, nats, telemetry, log } = parts;
  return serve(parts, {
    contract: AuditService,
    offers: [DeadLetterService, ConsumerService],
    routes: (router) => {
      router.service(AuditService, auditService({ sql, contracts, operators }));
      router.service(
        DeadLetterService,
        deadLetterService({ nats, contracts, operators, meter: telemetry, log }),
      );
      router.service(ConsumerService, consumerService({ nats, operators, log }));
    },
    measures: [
      () => followAdvisories({ nats, service: "audit", log, meter: telemetry }),
      ...(telemetry.isOn ? [() => measureDeadLetters({ nats, meter: telemetry, log })] : []),
    ],
    handles: {
      orders: archive,
      payments: archive,
      products: archive,
      reviews: archive,
      customers: archive,
      notifications: archive,
      "notification-commands": archive,
      "product-commands": archive,
    },
  });
}
