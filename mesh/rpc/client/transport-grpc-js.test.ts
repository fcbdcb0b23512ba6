import { transportSuite } from "../../testing/transport-suite.ts";
import { grpcJsTransport } from "./transport-grpc-js.ts";

transportSuite("grpc-js", grpcJsTransport, { bidi: true });
