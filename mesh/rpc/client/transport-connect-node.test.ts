import { transportSuite } from "../../testing/transport-suite.ts";
import { connectNodeTransport } from "./transport-connect-node.ts";

// HTTP/1.1 sends the whole question before the answer begins.
transportSuite("connect-node", connectNodeTransport, { bidi: false });
