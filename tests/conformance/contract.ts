// Where the contract of the suite is. `make conformance` generates it from the suite's own module.
export {
  type ClientCompatRequest,
  type ClientCompatRequest_Cancel,
  ClientCompatRequestSchema,
  ClientCompatResponseSchema,
  type ClientResponseResult,
  ClientResponseResultSchema,
} from "../../.tools/conformance/connectrpc/conformance/v1/client_compat_pb.ts";
export {
  Codec,
  Compression,
  HTTPVersion,
  Protocol,
  StreamType,
} from "../../.tools/conformance/connectrpc/conformance/v1/config_pb.ts";
export {
  ServerCompatRequestSchema,
  ServerCompatResponseSchema,
} from "../../.tools/conformance/connectrpc/conformance/v1/server_compat_pb.ts";
export {
  BidiStreamRequestSchema,
  ClientStreamRequestSchema,
  type ConformancePayload,
  ConformancePayload_RequestInfoSchema,
  ConformancePayloadSchema,
  ConformanceService,
  type Error as ErrorMessage,
  ErrorSchema,
  type Header,
  HeaderSchema,
  IdempotentUnaryRequestSchema,
  ServerStreamRequestSchema,
  type StreamResponseDefinition,
  UnaryRequestSchema,
  type UnaryResponseDefinition,
  UnimplementedRequestSchema,
} from "../../.tools/conformance/connectrpc/conformance/v1/service_pb.ts";
