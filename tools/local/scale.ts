/** How many processes of each service run, by its name; what is not named runs as it is. */
export type Scale = Readonly<Record<string, number>>;

const MOST_OF_ONE = 9;
// Each holds up to a dozen connections to PostgreSQL, of which the embedded one takes 200.
const MOST_PROCESSES = 16;
const PORTS_APART = 100;

/** Reads `order=2,notification=3`. Throws, naming what is wrong, if a service is unknown or a number is none. */
export function readScale(text: string, services: readonly string[]): Scale {
  const scale: Record<string, number> = {};
  for (const part of text.split(",").filter((each) => each !== "")) {
    const [name = "", count = "", ...more] = part.split("=").map((each) => each.trim());
    if (!services.includes(name))
      throw new Error(`there is no service named ${name || '""'}; scale one of ${services.join(", ")}`);
    if (name in scale) throw new Error(`${name} is scaled twice`);
    const isCount = /^\d+$/.test(count) && Number(count) >= 1 && Number(count) <= MOST_OF_ONE;
    if (!isCount || more.length > 0)
      throw new Error(`scale ${name} to a number from 1 to ${MOST_OF_ONE}: ${name}=2, not "${part}"`);
    scale[name] = Number(count);
  }
  return scale;
}

/**
 * Services with as many ports as they are to have processes: those that they have, then each 100 above the one before.
 * Throws if that makes more processes than the local database has connections for.
 */
export function scaled<S extends { readonly service: string; readonly ports: readonly number[] }>(
  services: readonly S[],
  scale: Scale,
): S[] {
  const result = services.map((each) => {
    const ports = each.ports.slice(0, scale[each.service] ?? each.ports.length);
    while (ports.length < (scale[each.service] ?? 0)) ports.push((ports.at(-1) ?? 0) + PORTS_APART);
    return { ...each, ports };
  });
  const count = result.reduce((sum, { ports }) => sum + ports.length, 0);
  if (count > MOST_PROCESSES)
    throw new Error(`that makes ${count} processes; ${MOST_PROCESSES} are as many as one machine runs well`);
  return result;
}
