import { useId } from "react";

// Warp, weft and ground. The pictures are no more than pictures, so they are the same in light and dark.
const DYES = [
  ["#2f4368", "#e9dfcd", "#22324f"],
  ["#8a3b32", "#ecd9c6", "#6c2c25"],
  ["#3f5a45", "#e4e3cf", "#2f4434"],
  ["#a8702a", "#f2e4c9", "#80541d"],
  ["#5a4463", "#e6dbe2", "#44324b"],
  ["#33606b", "#dfe6df", "#254852"],
] as const;

const WIDTH = 4;

/**
 * The picture of a product, which has none in the catalogue: a cloth woven from its id, and a label with its initial. The
 * same product has the same cloth everywhere.
 */
export function Weave({ productId, name }: { readonly productId: string; readonly name: string }) {
  const id = useId();
  const seed = hash(productId);
  const [warp, weft, ground] = DYES[seed % DYES.length] ?? DYES[0];
  const size = 4 + (Math.floor(seed / 8) % 4) * 2;
  const step = 1 + (Math.floor(seed / 64) % 3);
  const over = Math.max(1, Math.floor(size / 2) - (Math.floor(seed / 512) % 2));
  const threads = Array.from({ length: size }, (_, at) => at);
  return (
    <svg className="weave" viewBox="0 0 160 120" preserveAspectRatio="xMidYMid slice" aria-hidden="true">
      <pattern id={id} width={size * WIDTH} height={size * WIDTH} patternUnits="userSpaceOnUse">
        <rect width={size * WIDTH} height={size * WIDTH} fill={ground} />
        {threads.flatMap((y) =>
          threads.map((x) => {
            const isOver = (x + y * step) % size < over;
            return isOver ? (
              <rect
                key={`${x}-${y}`}
                x={x * WIDTH + 0.4}
                y={y * WIDTH}
                width={WIDTH - 0.8}
                height={WIDTH}
                fill={warp}
              />
            ) : (
              <rect
                key={`${x}-${y}`}
                x={x * WIDTH}
                y={y * WIDTH + 0.4}
                width={WIDTH}
                height={WIDTH - 0.8}
                fill={weft}
              />
            );
          }),
        )}
      </pattern>
      <rect width="160" height="120" fill={`url(#${id})`} />
      <rect x="60" y="42" width="40" height="36" rx="1.5" fill={weft} />
      <rect
        x="62.5"
        y="44.5"
        width="35"
        height="31"
        rx="0.5"
        fill="none"
        stroke={warp}
        strokeDasharray="2 1.4"
        strokeWidth="0.7"
      />
      <text x="80" y="67.5" textAnchor="middle" fontSize="20" fill={ground}>
        {name.slice(0, 1)}
      </text>
    </svg>
  );
}

function hash(text: string): number {
  let sum = 7;
  for (const letter of text) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 1_000_003;
  return sum;
}
