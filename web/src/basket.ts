import { keptStore, type Store } from "./store.ts";

/** So many pieces of a product, to be ordered. */
export interface BasketLine {
  readonly productId: string;
  /** As it was called when it went in, for while product cannot be asked. */
  readonly name: string;
  readonly quantity: number;
}

/** What is to be ordered, each product in one line. */
export type Basket = Store<readonly BasketLine[]>;

/** The basket stays when the page is closed. */
export function openBasket(storage: Storage): Basket {
  return keptStore<readonly BasketLine[]>(storage, "weft.basket", parse, []);
}

/** Puts more pieces of a product in. */
export function addToBasket(basket: Basket, { productId, name, quantity }: BasketLine): void {
  const lines = basket.get();
  const present = lines.find((line) => line.productId === productId);
  if (present) setQuantity(basket, productId, present.quantity + quantity);
  else basket.set([...lines, { productId, name, quantity }]);
}

/** Changes how many pieces are to be ordered. */
export function setQuantity(basket: Basket, productId: string, quantity: number): void {
  basket.set(basket.get().map((line) => (line.productId === productId ? { ...line, quantity } : line)));
}

/** Takes a product out. */
export function removeFromBasket(basket: Basket, productId: string): void {
  basket.set(basket.get().filter((line) => line.productId !== productId));
}

/** How many pieces there are. */
export function pieces(lines: readonly BasketLine[]): number {
  return lines.reduce((sum, { quantity }) => sum + quantity, 0);
}

function parse(kept: unknown): BasketLine[] | undefined {
  return Array.isArray(kept) && kept.every(isLine) ? kept : undefined;
}

function isLine(each: unknown): each is BasketLine {
  const { productId, name, quantity } = (each ?? {}) as Partial<BasketLine>;
  return typeof productId === "string" && typeof name === "string" && Number.isSafeInteger(quantity);
}
