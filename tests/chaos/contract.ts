import { toys } from "../../mesh/testing/toys.ts";

/** The contract that every process of the chaos speaks: an event of an order, and the subscription that handles it. */
export const contract = toys({}, { maxBytes: 2 ** 28 });

/** How many events an order has. */
export const EVENTS_PER_ORDER = 5;
