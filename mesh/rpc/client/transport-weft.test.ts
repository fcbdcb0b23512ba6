import { grpc } from "../../grpc/data-plane.ts";
import { transportSuite } from "../../testing/transport-suite.ts";

transportSuite("weft", grpc, { bidi: true });
