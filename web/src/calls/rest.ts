import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import {
  type ListReviewsResponse,
  ListReviewsResponseSchema,
} from "../../../gen/shop/review/v2/review_service_pb.ts";
import { CALL_TIMEOUT_MS } from "./transport.ts";

/**
 * The next page of a product's reviews, by the gateway's REST: what the page asks for without a client of Connect, as any
 * other program would. Rejects with the ConnectError that a client would have got.
 */
export async function listReviews(productId: string, pageToken: string): Promise<ListReviewsResponse> {
  const query = new URLSearchParams({ page_token: pageToken, page_size: "10" });
  const answer = await get(`/v2/products/${encodeURIComponent(productId)}/reviews?${query}`);
  return fromJson(ListReviewsResponseSchema, answer, { ignoreUnknownFields: true });
}

/** Problem details (RFC 9457) as the gateway fills them. */
interface ProblemDetails {
  readonly detail?: string;
  readonly code?: string;
  readonly reason?: string;
  readonly domain?: string;
  readonly metadata?: Record<string, string>;
  readonly violations?: { readonly field: string; readonly description: string }[];
}

async function get(path: string): Promise<JsonValue> {
  const response = await fetch(path, {
    // The first, which the answer is; or the second, which says more of a refusal than the first would.
    headers: { accept: "application/json;q=0.9, application/problem+json" },
    signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
  }).catch((cause: unknown) => {
    throw new ConnectError("the connection was lost", Code.Unavailable, undefined, undefined, cause);
  });
  if (response.ok) return (await response.json()) as JsonValue;
  throw await refusalOf(response);
}

async function refusalOf(response: Response): Promise<ConnectError> {
  const problem = (await response.json().catch(() => ({}))) as ProblemDetails;
  const { detail = response.statusText, reason = "", domain = "", metadata = {}, violations = [] } = problem;
  return new ConnectError(detail, codeOf(response.status), response.headers, [
    { desc: ErrorInfoSchema, value: { reason, domain, metadata } },
    { desc: BadRequestSchema, value: { fieldViolations: violations } },
  ]);
}

function codeOf(status: number): Code {
  if (status === 400) return Code.InvalidArgument;
  if (status === 404) return Code.NotFound;
  if (status === 429) return Code.ResourceExhausted;
  return status >= 502 ? Code.Unavailable : Code.Unknown;
}
