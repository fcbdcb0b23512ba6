import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ConnectError, type Interceptor } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { pick } from "../judged/arguments.ts";
import { SERVERS } from "../judged/servers.ts";
import { ConformanceService, ServerCompatRequestSchema, ServerCompatResponseSchema } from "./contract.ts";
import { frame, messagesOf } from "./framing.ts";
import { conformance } from "./service.ts";

// Started by connectconformance with `--server NAME`: it reads what is to be served, and is told where.
const [, start] = pick("server", SERVERS);

/** The mesh says in each of its own errors why; the suite allows no details but those that it asks for. */
const withoutReasons: Interceptor = (next) => (request) =>
  next(request).catch((error) => {
    if (error instanceof ConnectError) {
      error.details = error.details.filter((each) => !("desc" in each) || each.desc !== ErrorInfoSchema);
    }
    throw error;
  });

for await (const message of messagesOf(process.stdin)) {
  const asked = fromBinary(ServerCompatRequestSchema, message);
  const { useTls, serverCreds, clientTlsCert, messageReceiveLimit } = asked;
  const tls =
    useTls && serverCreds
      ? { ...serverCreds, ...(clientTlsCert.byteLength > 0 && { clientCa: clientTlsCert }) }
      : undefined;
  const { port } = await start({
    services: [ConformanceService],
    routes: (router) => router.service(ConformanceService, conformance),
    outermost: withoutReasons,
    ...(messageReceiveLimit > 0 && { maxMessageBytes: messageReceiveLimit }),
    ...(tls && { tls }),
  });
  const listening = create(ServerCompatResponseSchema, {
    host: "127.0.0.1",
    port,
    ...(tls && { pemCert: tls.cert }),
  });
  process.stdout.write(frame(toBinary(ServerCompatResponseSchema, listening)));
}
