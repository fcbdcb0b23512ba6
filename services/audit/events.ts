import { decodeHeader } from "../../mesh/events/envelope.ts";
import { onAny } from "../../mesh/events/handlers.ts";
import { insertEvent } from "./store.ts";

const keep = onAny(
  async (tx, { headers, ...message }, { eventId, type, key, keySeq, correlationId, time }) => {
    const source = decodeHeader(headers["ce-source"] ?? "");
    const causationId = decodeHeader(headers["ce-causationid"] ?? "");
    const eventTime = new Date(time);
    await insertEvent(tx, {
      eventId,
      type,
      key,
      keySeq,
      correlationId,
      source,
      causationId,
      eventTime,
      headers,
      ...message,
    });
  },
);

/** Keeps whatever comes by, once; many together, since an archive is behind whenever much happens. */
export const archive = { handlers: [keep], batch: 64 };
