/** So many half stars in words: "3.5 of 5 stars". */
export function starsInWords(halfStars: number): string {
  return `${halfStars / 2} of 5 stars`;
}

/** A rating, drawn and in words. `halfStars` may lie between two. */
export function Stars({ halfStars }: { readonly halfStars: number }) {
  const rounded = Math.round(halfStars * 5) / 5;
  return (
    <span className="stars" role="img" aria-label={starsInWords(rounded)}>
      <StarRow halfStars={halfStars} />
    </span>
  );
}

const STAR = "M10 1.6l2.6 5.3 5.8.8-4.2 4.1 1 5.8L10 14.9l-5.2 2.7 1-5.8L1.6 7.7l5.8-.8z";
const FIVE = [0, 1, 2, 3, 4];

/** Five stars, as much of them full as there are half stars. */
export function StarRow({ halfStars }: { readonly halfStars: number }) {
  return (
    <svg viewBox="0 0 100 20" aria-hidden="true">
      {FIVE.map((at) => {
        const fullness = Math.min(1, Math.max(0, halfStars / 2 - at));
        return (
          <g key={at} transform={`translate(${at * 20} 0)`}>
            <path className="star-empty" d={STAR} />
            {/* A window onto the full star, so that no ids are needed to clip it. */}
            <svg width={20 * fullness} height="20" aria-hidden="true">
              <path className="star-full" d={STAR} />
            </svg>
          </g>
        );
      })}
    </svg>
  );
}
