import { ATTACKS, attack } from "./attacks.ts";

// Started by pair.ts: `attacker-child.ts <attack> <port>`. Attacks for as long as each message says, and answers with what became of it.
const [name, port] = process.argv.slice(2);
const found = ATTACKS.find((each) => each.name === name);
if (!found) throw new Error(`there is no attack ${name}`);

// Without its parent it has nothing to do.
process.once("disconnect", () => process.exit());
process.on("message", async ({ ms }: { readonly ms: number }) =>
  process.send?.(await attack(found, Number(port), ms)),
);
process.send?.("ready");
