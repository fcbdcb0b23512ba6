import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { eventContract } from "../contract/event.ts";
import type { Sql } from "../store/connect.ts";

/**
 * What a service has published under a key so far, or is about to: each event of these types as often as it was
 * published, in order. An event of the key that is of none of them is an error.
 */
export async function published<T extends DescMessage>(
  sql: Sql,
  schemas: readonly T[],
  key: string,
): Promise<MessageShape<T>[]> {
  const byType = new Map(schemas.map((schema) => [schema.typeName, schema]));
  const streams = [...new Set(schemas.map((schema) => eventContract(schema).stream))];
  const rows = await sql<{ type: string; payload: Buffer }[]>`
    SELECT type, payload FROM outbox WHERE stream = ANY (${streams}) AND key = ${key} ORDER BY id`;
  return rows.map(({ type, payload }) => {
    const schema = byType.get(type);
    if (!schema) throw new Error(`a ${type} was published too`);
    return fromBinary(schema, payload);
  });
}
