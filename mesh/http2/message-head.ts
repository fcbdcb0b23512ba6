import type { HeaderField } from "./hpack/header-field.ts";

// They speak of one hop, and HTTP/2 has frames for that (RFC 9113, section 8.2.2).
const OF_THE_CONNECTION = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);
const COLON = 58;

/** What stands above the headers of a message: what is asked for, or the status (RFC 9113, section 8.3). */
export class MessageHead {
  method = "";
  scheme = "";
  path = "";
  authority = "";
  /** 0 if there is none. */
  status = 0;
  /** -1 if nothing says how long the body is. */
  contentLength = -1;
  /** What was read last: the decoder gives the same list for the same block, and then there is nothing to read. */
  #fields: readonly HeaderField[] | undefined;
  #problem: string | undefined;

  /** Reads a request. Returns what is wrong with it: then it is malformed. */
  readRequest(fields: readonly HeaderField[]): string | undefined {
    if (fields !== this.#fields) {
      this.#fields = fields;
      this.#problem = this.#requestProblem(fields);
    }
    return this.#problem;
  }

  #requestProblem(fields: readonly HeaderField[]): string | undefined {
    this.#clear();
    const problem = this.#read(fields);
    if (problem) return problem;
    if (this.status !== 0) return ":status in a request";
    if (this.method === "") return "no :method";
    if (this.method === "CONNECT") return this.scheme || this.path ? "CONNECT with a :path" : undefined;
    if (this.scheme === "") return "no :scheme";
    return this.path === "" ? "no :path" : undefined;
  }

  /** Reads a response. Returns what is wrong with it. */
  readResponse(fields: readonly HeaderField[]): string | undefined {
    if (fields !== this.#fields) {
      this.#fields = fields;
      this.#problem = this.#responseProblem(fields);
    }
    return this.#problem;
  }

  #responseProblem(fields: readonly HeaderField[]): string | undefined {
    this.#clear();
    const problem = this.#read(fields);
    if (problem) return problem;
    if (this.method || this.path || this.scheme || this.authority) return "a request's headers in a response";
    return this.status === 0 ? "no :status" : undefined;
  }

  #clear(): void {
    this.method = "";
    this.scheme = "";
    this.path = "";
    this.authority = "";
    this.status = 0;
    this.contentLength = -1;
  }

  #read(fields: readonly HeaderField[]): string | undefined {
    let isAbove = true;
    for (let i = 0; i < fields.length; i++) {
      const field = fields[i] as HeaderField;
      const { name } = field;
      if (name.charCodeAt(0) === COLON) {
        const problem = isAbove ? this.#pseudo(field) : `${name} below the headers`;
        if (problem) return problem;
      } else {
        isAbove = false;
        const problem = fieldProblem(field);
        if (problem) return problem;
        if (name === "content-length") {
          if (!/^\d{1,15}$/.test(field.value)) return "a content-length that is no number";
          const length = Number(field.value);
          if (this.contentLength >= 0 && this.contentLength !== length) return "two lengths";
          this.contentLength = length;
        }
      }
    }
    return undefined;
  }

  #pseudo({ name, value, isIllegal }: HeaderField): string | undefined {
    if (isIllegal) return "a header that cannot be";
    switch (name) {
      case ":method":
        if (this.method) return "two methods";
        this.method = value;
        break;
      case ":scheme":
        if (this.scheme) return "two schemes";
        this.scheme = value;
        break;
      case ":path":
        if (this.path) return "two paths";
        if (value === "") return "an empty :path";
        this.path = value;
        break;
      case ":authority":
        if (this.authority) return "two authorities";
        this.authority = value;
        break;
      case ":status":
        if (this.status !== 0) return "two statuses";
        if (!/^[1-9]\d\d$/.test(value)) return "a status that is none";
        this.status = Number(value);
        break;
      default:
        return `${name} is none of HTTP/2's`;
    }
    return undefined;
  }
}

/** Says what is wrong with trailers. */
export function trailersProblem(fields: readonly HeaderField[]): string | undefined {
  for (const field of fields) {
    if (field.name.charCodeAt(0) === COLON) return `${field.name} in trailers`;
    const problem = fieldProblem(field);
    if (problem) return problem;
  }
  return undefined;
}

/** Says what is wrong with a header (RFC 9113, section 8.2). */
function fieldProblem(field: HeaderField): string | undefined {
  if (field.isIllegal) return "a header that cannot be";
  if (OF_THE_CONNECTION.has(field.name)) return `${field.name} is of another HTTP`;
  if (field.name === "te" && field.value !== "trailers") return "te may be trailers only";
  return undefined;
}
