import type { AppError } from "../core/errors.ts";
import { currentWork } from "../core/work.ts";
import { ofOwner } from "./access-refusal.ts";

/**
 * For methods whose contract says `owner_kept`: throws the refusal if the present work is that of another customer than this.
 * What not everybody may see is refused like what is not there, so that nobody learns which there are. What operators, sagas
 * and events ask for passes, and so does with MESH_AUTH=off what is asked for by who proves nothing.
 */
export function assertOwner(customerId: string, refusal: () => AppError): void {
  const caller = currentWork()?.caller;
  if (caller?.kind === "customer" && caller.id !== customerId) throw ofOwner(refusal());
}
