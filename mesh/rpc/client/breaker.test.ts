import { breakerSuite } from "../../testing/breaker-suite.ts";

breakerSuite("grpc");
breakerSuite("connect");
