import { retrySuite } from "../../testing/retry-suite.ts";

retrySuite("grpc", { saysRefused: true, exactTimeouts: false });
retrySuite("connect", { saysRefused: false, exactTimeouts: true });
