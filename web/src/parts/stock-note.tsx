const FEW = 5;

/** How much there is of a product, as far as it matters to who wants some. */
export function StockNote({ pieces }: { readonly pieces: number }) {
  if (pieces === 0) return <p className="stock none">Sold out</p>;
  if (pieces <= FEW) return <p className="stock few">Only {pieces} left</p>;
  return <p className="stock">In stock</p>;
}
