import type { RawRequest } from "./raw-http.ts";

/** What somebody sends who means no good, or does not know better. */
export interface BadInput extends RawRequest {
  readonly name: string;
  readonly status: number;
  /** Must be in the answer: the reason, or words of it. */
  readonly says: string;
}

const INVALID = { status: 400, says: "INVALID_REQUEST" } as const;
const NO_ROUTE = { status: 404, says: "NO_ROUTE" } as const;
const NO_HTTP = { status: 400, says: "no HTTP/1.1" } as const;
const JSON_TYPE = "Content-Type: application/json";
const ORDERS = "POST /v1/orders HTTP/1.1";
const MIB = 2 ** 20;

/** A body with its true length. */
function withBody(
  line: string,
  body: string | Uint8Array,
  headers: readonly string[] = [JSON_TYPE],
): RawRequest {
  return { line, headers: [...headers, `Content-Length: ${Buffer.byteLength(body)}`], body };
}

function each<T>(
  group: string,
  inputs: readonly T[],
  request: (input: T) => RawRequest & Partial<BadInput>,
  expected: Pick<BadInput, "status" | "says">,
): BadInput[] {
  const shown = (input: T) => JSON.stringify(input)?.slice(0, 60) ?? String(input);
  return inputs.map((input) => ({ name: `${group}: ${shown(input)}`, ...expected, ...request(input) }));
}

const MALFORMED = [
  "{",
  "}",
  "{}{}",
  "{} x",
  '{"customer_id":}',
  '{"customer_id":"a"',
  "{'customer_id':'a'}",
  "{customer_id:1}",
  '{"customer_id":"a",}',
  '{"customer_id":"\u0001"}',
  '{"customer_id":"\\x"}',
  "[1,2",
  "nul",
  "NaN",
  "Infinity",
  "0x10",
  "01",
  "<order/>",
  "customer_id=cust-ada",
  "[".repeat(100_000),
  '{"a":'.repeat(50_000),
  " ",
];
const NO_UTF8 = [[0xff], [0x22, 0xc3, 0x28, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22], [0xfe, 0xff, 0x00, 0x7b]];
const NO_OBJECT = ["[]", "1", '"x"', "true", "[{}]", "null"];

const ORDER = {
  customer_id: "cust-ada",
  lines: [{ product_id: "prod-espresso", quantity: 1 }],
  payment_token: "tok_ok",
};
/** Each in place of what an order has there. */
const BAD_ORDERS: readonly object[] = [
  { customer_id: 7 },
  { customer_id: [] },
  { customer_id: {} },
  { customer_id: true },
  { customer_id: null },
  { customer_id: "" },
  { customer_id: "a b" },
  { customer_id: "a\u0000b" },
  { customer_id: "a\r\nSet-Cookie: x=y" },
  { customer_id: "../cust-grace" },
  { customer_id: "'; DROP TABLE orders; --" },
  { customer_id: "x".repeat(65) },
  { customerId: "cust-grace" },
  { lines: null },
  { lines: [] },
  { lines: {} },
  { lines: "x" },
  { lines: 5 },
  { lines: [1] },
  { lines: [null] },
  { lines: [[]] },
  { lines: [{}] },
  { lines: [{ product_id: 5, quantity: 1 }] },
  { lines: [{ product_id: "p", quantity: "x" }] },
  { lines: [{ product_id: "p", quantity: 1.5 }] },
  { lines: [{ product_id: "p", quantity: -1 }] },
  { lines: [{ product_id: "p", quantity: 0 }] },
  { lines: [{ product_id: "p", quantity: 2 ** 31 }] },
  { lines: [{ product_id: "p", quantity: 1e300 }] },
  { lines: [{ product_id: "p", quantity: true }] },
  { lines: [{ product_id: "p", quantity: 1, price: 0 }] },
  { lines: Array.from({ length: 1_000 }, (_, n) => ({ product_id: `p${n}`, quantity: 1 })) },
  { payment_token: 1 },
  { payment_token: ["tok_ok"] },
  { payment_token: "" },
  { payment_token: "x".repeat(100_000) },
  { wait: 5 },
  { wait: "5" },
  { wait: "x" },
  { wait: "-1s" },
  { wait: "99999999999999s" },
  { wait: { seconds: 5 } },
  { request_id: 5 },
  { request_id: "x".repeat(10_000) },
  { order: { state: "ORDER_STATE_CONFIRMED" } },
  { state: "ORDER_STATE_CONFIRMED" },
  { total: 0 },
  { colour: "red" },
  { "[shop.order.v1.extension]": 1 },
  { constructor: { prototype: { isOperator: true } } },
  { hasOwnProperty: 1 },
];

const BAD_QUERIES = [
  "page_size=x",
  "page_size=1.5",
  "page_size=-1",
  "page_size=",
  "page_size=2147483648",
  "page_size=1e9",
  "page_size=0x10",
  "page_size=NaN",
  "page_size=1&page_size=2",
  "page_size=1&pageSize=2",
  "page_size[]=1",
  "page_size.x=1",
  "colour=red",
  "__proto__=1",
  "__proto__.x=1",
  "constructor=1",
  "query.x=1",
  "=1",
  "%00=1",
  "page_token=%00",
  "page_size=%ff",
  "page_size=%",
];

const BAD_EVENT_QUERIES = [
  "since=now",
  "since=2026-13-01T00:00:00Z",
  "since=-1",
  "filter=x",
  "filter.nothing=1",
  "filter.type.x=1",
  "since=2026-01-01T00:00:00Z&since=2026-01-02T00:00:00Z",
];

const BAD_PRODUCT_IDS = [
  "%20",
  "a%20b",
  "%00",
  "a%2Fb",
  "..%2F..%2Fetc%2Fpasswd",
  "%0d%0aX:1",
  "a%3Bb",
  "x".repeat(65),
  "%F0%9F%92%A9",
  "..%5c..%5c",
  "%252e%252e%252f",
  "%27%20OR%201=1--",
];

const NO_PATHS = [
  "/",
  "/v1",
  "/v1/",
  "/v1/products/",
  "/v1//products",
  "//v1/products",
  "/V1/products",
  "/v1/product",
  "/v1/products/a/b",
  "/v1/products:",
  "/v1/products:nothing",
  "/v1/products/a:nothing/b",
  "/v1/orders/",
  "/v1/orders/o1/",
  "/v1/orders/%ff",
  "/v1/orders/%",
  "/v1/orders/%zz",
  "/v1/products/../../../etc/passwd",
  "/v1/products/%2e%2e/%2e%2e/etc/passwd",
  "/v1/products/..;/admin",
  "/.env",
  "/.git/config",
  "/admin",
  "/etc/passwd",
  "/v1/products.json",
  "/v1/products;x=1",
  "/package.json",
  "/services/gateway/config.ts",
  "/wp-login.php",
  "/%2fetc%2fpasswd",
  "/v2/products",
];

const NO_TYPES = [
  "text/plain",
  "text/html",
  "application/xml",
  "application/x-www-form-urlencoded",
  "multipart/form-data; boundary=x",
  "application/json; charset=utf-16",
  "application/json; charset=latin1",
  "application/x-ndjson",
  "application/jsonp",
  "application/octet-stream",
  "json",
  "",
];

const NO_TIMEOUTS = ["x", "-1", "1s", "1e9", "99999999", "0x1", "1,2", "NaN", " "];

/** Lines of headers that the parser does not take, or that contradict each other. */
const SMUGGLED: readonly (readonly [name: string, headers: readonly string[], body: string])[] = [
  ["a length and chunks", ["Content-Length: 4", "Transfer-Encoding: chunked"], "0\r\n\r\n"],
  ["chunks and a length", ["Transfer-Encoding: chunked", "Content-Length: 4"], "0\r\n\r\n"],
  ["two lengths", ["Content-Length: 2", "Content-Length: 3"], "{}"],
  ["the same length twice", ["Content-Length: 2", "Content-Length: 2"], "{}"],
  ["a list of lengths", ["Content-Length: 2, 2"], "{}"],
  ["a length with a sign", ["Content-Length: +2"], "{}"],
  ["a negative length", ["Content-Length: -2"], "{}"],
  ["a length in hex", ["Content-Length: 0x2"], "{}"],
  ["a length of letters", ["Content-Length: two"], "{}"],
  ["a length beyond any number", [`Content-Length: ${"9".repeat(40)}`], "{}"],
  ["chunked twice", ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], "0\r\n\r\n"],
  ["chunked, then identity", ["Transfer-Encoding: chunked, identity"], "0\r\n\r\n"],
  ["nearly chunked", ["Transfer-Encoding: xchunked"], "0\r\n\r\n"],
  ["a space before the colon", ["Transfer-Encoding : chunked"], "0\r\n\r\n"],
  ["a chunk that is no number", ["Transfer-Encoding: chunked"], "zz\r\n{}\r\n0\r\n\r\n"],
  ["a chunk that is longer than it says", ["Transfer-Encoding: chunked"], "1\r\n{}\r\n0\r\n\r\n"],
  ["a chunk of a negative length", ["Transfer-Encoding: chunked"], "-1\r\n{}\r\n0\r\n\r\n"],
];

const BROKEN_HEADERS: readonly (readonly [name: string, headers: readonly string[]])[] = [
  ["a header that is folded", ["X-A: 1\r\n 2"]],
  ["a header that ends in a bare LF", ["X-A: 1\nX-B: 2"]],
  ["a header that ends in a bare CR", ["X-A: 1\rX-B: 2"]],
  ["a NUL in a header", ["X-A: 1\u00002"]],
  ["a header without a name", [": 1"]],
  ["a header without a colon", ["nonsense"]],
  ["a space in the name of a header", ["X A: 1"]],
  ["a name that is no token", ["X(A): 1"]],
];

const BROKEN_LINES: readonly string[] = [
  "GET /v1/products HTTP/9.9",
  "GET /v1/products HTTPS/1.1",
  "GET /v1 /products HTTP/1.1",
  "get /v1/products HTTP/1.1",
  "GET",
  "G\u0000T /v1/products HTTP/1.1",
  "EVIL /v1/products HTTP/1.1",
];

/** A line of a stream of products. */
const row = (name: string) =>
  JSON.stringify({ product: { productId: "p", name, price: { currencyCode: "EUR", units: 1 } } });
const IMPORT = "POST /v1/products:import HTTP/1.1";
const LINES_TYPE = ["Content-Type: application/x-ndjson"];

/** All that the gateway must refuse, and how. More may be added at the end, each with the words of its reason. */
export const BAD_INPUT: readonly BadInput[] = [
  ...each("no JSON for an order", MALFORMED.slice(0, -1), (body) => withBody(ORDERS, body), INVALID),
  ...each(
    "no JSON for a change of a product",
    MALFORMED,
    (body) => withBody("PATCH /v1/products/prod-rare HTTP/1.1", body),
    INVALID,
  ),
  ...each(
    "no JSON in a line",
    MALFORMED.filter((text) => text.trim() !== ""),
    (body) => withBody(IMPORT, `${body}\n`, LINES_TYPE),
    INVALID,
  ),
  ...each("no UTF-8", NO_UTF8, (bytes) => withBody(ORDERS, Uint8Array.from(bytes)), INVALID),
  ...each("no object", NO_OBJECT, (body) => withBody(ORDERS, body), INVALID),
  ...each(
    "an order with",
    BAD_ORDERS,
    (bad) => withBody(ORDERS, JSON.stringify({ ...ORDER, ...bad })),
    INVALID,
  ),
  ...each("a query", BAD_QUERIES, (query) => ({ line: `GET /v1/products?${query} HTTP/1.1` }), INVALID),
  ...each("a query", BAD_EVENT_QUERIES, (query) => ({ line: `GET /v1/events?${query} HTTP/1.1` }), INVALID),
  ...each("a product", BAD_PRODUCT_IDS, (id) => ({ line: `GET /v1/products/${id} HTTP/1.1` }), INVALID),
  ...each("a path", NO_PATHS, (path) => ({ line: `GET ${path} HTTP/1.1` }), NO_ROUTE),
  ...each(
    "a method",
    ["DELETE", "PUT", "POST", "PROPFIND", "PURGE", "LINK"],
    (verb) => ({ line: `${verb} /v1/products/prod-rare HTTP/1.1` }),
    { status: 405, says: "METHOD_NOT_ALLOWED" },
  ),
  { name: "TRACE", line: "TRACE /v1/products HTTP/1.1", status: 400, says: "bad request" },
  ...each(
    "a type of body",
    NO_TYPES,
    (type) => withBody(ORDERS, JSON.stringify(ORDER), [`Content-Type: ${type}`]),
    { status: 415, says: "UNSUPPORTED_MEDIA_TYPE" },
  ),
  ...each(
    "an encoding of a body",
    ["gzip", "br", "deflate", "zstd", "gzip, identity"],
    (encoding) => withBody(ORDERS, JSON.stringify(ORDER), [JSON_TYPE, `Content-Encoding: ${encoding}`]),
    { status: 415, says: "UNSUPPORTED_MEDIA_TYPE" },
  ),
  ...each(
    "what is accepted",
    ["text/html", "image/*", "application/xml", "application/json;q=0", "nonsense"],
    (accept) => ({ line: "GET /v1/products HTTP/1.1", headers: [`Accept: ${accept}`] }),
    { status: 406, says: "NOT_ACCEPTABLE" },
  ),
  ...each(
    "how long it waits",
    NO_TIMEOUTS,
    (seconds) => ({ line: "GET /v1/products HTTP/1.1", headers: [`Request-Timeout: ${seconds}`] }),
    INVALID,
  ),
  ...each(
    "a key",
    ["x".repeat(10_000), "a b\t", '"a', "é"],
    (key) => withBody(ORDERS, JSON.stringify(ORDER), [JSON_TYPE, `Idempotency-Key: ${key}`]),
    INVALID,
  ),
  {
    name: "another key than that of the request",
    ...withBody(ORDERS, JSON.stringify({ ...ORDER, request_id: "a" }), [JSON_TYPE, "Idempotency-Key: b"]),
    ...INVALID,
  },
  {
    name: "an id in the body that is not that of the path",
    ...withBody("POST /v1/orders/o1:cancel HTTP/1.1", '{"order_id":"o2"}'),
    ...INVALID,
  },
  { name: "a body for GET", ...withBody("GET /v1/products HTTP/1.1", "{}"), status: 200, says: '"products"' },
  {
    name: "a body that says it is huge",
    line: ORDERS,
    headers: [JSON_TYPE, `Content-Length: ${10 ** 12}`],
    status: 413,
    says: "BODY_TOO_LARGE",
  },
  {
    name: "a body that is huge",
    ...withBody(ORDERS, `"${"x".repeat(4 * MIB)}"`),
    status: 413,
    says: "BODY_TOO_LARGE",
  },
  {
    name: "chunks that are huge together",
    line: ORDERS,
    headers: [JSON_TYPE, "Transfer-Encoding: chunked"],
    body: `100000\r\n${"x".repeat(MIB)}\r\n`.repeat(5).concat("0\r\n\r\n"),
    status: 413,
    says: "BODY_TOO_LARGE",
  },
  {
    name: "a line that is huge",
    ...withBody(IMPORT, `${row("x".repeat(4 * MIB))}\n`, LINES_TYPE),
    status: 413,
    says: "BODY_TOO_LARGE",
  },
  {
    name: "a body that does not come",
    line: ORDERS,
    headers: [JSON_TYPE, "Content-Length: 9"],
    body: "{",
    status: 408,
    says: "BODY_TOO_SLOW",
  },
  {
    name: "chunks that do not come",
    line: ORDERS,
    headers: [JSON_TYPE, "Transfer-Encoding: chunked"],
    body: "1\r\n{\r\n",
    status: 408,
    says: "BODY_TOO_SLOW",
  },
  {
    name: "a path that is huge",
    line: `GET /v1/products/${"x".repeat(20_000)} HTTP/1.1`,
    status: 431,
    says: "headers",
  },
  {
    name: "a query that is huge",
    line: `GET /v1/products?query=${"x".repeat(20_000)} HTTP/1.1`,
    status: 431,
    says: "headers",
  },
  {
    name: "a header that is huge",
    line: "GET /v1/products HTTP/1.1",
    headers: [`X-A: ${"x".repeat(20_000)}`],
    status: 431,
    says: "headers",
  },
  {
    name: "headers that are huge together",
    line: "GET /v1/products HTTP/1.1",
    headers: Array.from({ length: 1_000 }, (_, n) => `X-${n}: ${"x".repeat(20)}`),
    status: 431,
    says: "headers",
  },
  { name: "no host", line: "GET /v1/products HTTP/1.1", hasHost: false, status: 400, says: "" },
  ...SMUGGLED.map(([name, headers, body]) => ({
    name,
    line: ORDERS,
    headers: [JSON_TYPE, ...headers],
    body,
    ...NO_HTTP,
  })),
  ...BROKEN_HEADERS.map(([name, headers]) => ({
    name,
    line: "GET /v1/products HTTP/1.1",
    headers,
    ...NO_HTTP,
  })),
  ...each("a first line", BROKEN_LINES, (line) => ({ line }), NO_HTTP),
  ...each(
    "a target",
    ["@evil.example/v1/products", "evil.example:80"],
    (target) => ({ line: `GET ${target} HTTP/1.1` }),
    { status: 400, says: "" },
  ),
  ...each(
    "what is left behind, in a header that goes along",
    [
      "Tenant: \u00e9",
      "Authorization: \u00ff",
      "Baggage: \u00e9=1",
      "X-Request-Id: \u0080",
      "Traceparent: \u00e9",
    ],
    (header) => ({ line: "GET /v1/products HTTP/1.1", headers: [header] }),
    { status: 200, says: '"products"' },
  ),
  ...each(
    "an address that is none, of a proxy that is believed",
    [
      "",
      ",",
      " , , ",
      "unknown",
      "127.0.0.1:8080",
      "[::1]:8080",
      "256.256.256.256",
      "::ffff:999.1.1.1",
      "fe80::1%eth0",
      "1".repeat(4_000),
      "10.0.0.1,".repeat(1_000),
      "\u00e9",
      "__proto__",
      "192.0.2.1\t, \t192.0.2.2",
    ],
    (address) => ({ line: "GET /v1/nothing HTTP/1.1", headers: [`X-Forwarded-For: ${address}`] }),
    NO_ROUTE,
  ),
  ...each(
    "a way to be counted as somebody else",
    [
      "Forwarded: for=192.0.2.1",
      "X-Real-IP: 192.0.2.1",
      "X-Forwarded-Proto: https, http",
      "True-Client-IP: x",
    ],
    (header) => ({ line: "GET /v1/nothing HTTP/1.1", headers: [header] }),
    NO_ROUTE,
  ),
  {
    name: "a request within the body of another",
    ...withBody("GET /v1/nothing HTTP/1.1", "GET /v1/products HTTP/1.1\r\nHost: x\r\n\r\n", []),
    ...NO_ROUTE,
  },
  ...each(
    "an RPC in JSON",
    MALFORMED.slice(0, 8),
    (body) => withBody("POST /shop.product.v1.ProductService/GetProduct HTTP/1.1", body),
    { status: 400, says: "invalid_argument" },
  ),
  ...each(
    "an operator's call with the token",
    ["", "guess", "operator-secret-", "Operator-Secret", "x".repeat(1_000)],
    (token) =>
      withBody("POST /mesh.admin.v1.AdminService/GetState HTTP/1.1", "{}", [
        JSON_TYPE,
        `Mesh-Operator-Token: ${token}`,
      ]),
    { status: 401, says: "TOKEN_INVALID" },
  ),
];
