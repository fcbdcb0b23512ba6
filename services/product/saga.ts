import type { Outcome, Rule, Saga } from "../../mesh/events/saga.ts";
import { stockRestocked } from "./events.ts";
import { findRestock, returnStock } from "./store.ts";
import type { Supplier } from "./supplier.ts";

/** How far a restock is. */
export type RestockState = "ORDERED" | "PACKED" | "DELIVERED";

/** What becomes of a restock: step after step, each tried until it is done. */
export const rules: Readonly<Record<RestockState, Rule<RestockState>>> = {
  ORDERED: { does: ["pack"], done: () => ({ to: "PACKED" }) },
  PACKED: { does: ["bring"], done: () => ({ to: "DELIVERED" }) },
  DELIVERED: {},
};

/**
 * A restock by this supplier: a job of some seconds. Each state is durable, so that a job whose process dies is taken up
 * where it was; the pieces are added with the state that says so, and so once.
 */
export function restockSaga(supplier: Supplier): Saga<RestockState> {
  const actions: Record<string, () => Promise<Outcome>> = { pack: supplier.pack, bring: supplier.bring };
  return {
    table: "restock_saga",
    key: "restock_id",
    rules,
    act(name) {
      const action = actions[name];
      if (!action) throw new Error(`a restock has no action ${name}`);
      return action();
    },
    async entered(tx, restockId, state) {
      if (state !== "DELIVERED") return;
      const restock = await findRestock(tx, restockId);
      await stockRestocked(tx, restock, await returnStock(tx, restock));
    },
  };
}
