import { create } from "@bufbuild/protobuf";
import { type Header, HeaderSchema } from "./contract.ts";

/** Adds what the suite names to headers or trailers. */
export function addTo(headers: Headers, named: readonly Header[]): void {
  for (const { name, value } of named) for (const each of value) headers.append(name, each);
}

/** Headers or trailers as the suite wants to see them. */
export function metadataOf(headers: Headers): Header[] {
  return [...headers].map(([name, value]) => create(HeaderSchema, { name, value: [value] }));
}
