import { Code, ConnectError } from "@connectrpc/connect";
import { createContext, useContext } from "react";
import { type Basket, openBasket } from "./basket.ts";
import { type OrderAttempt, openOrderAttempt } from "./order-attempt.ts";
import { openSession, type SessionStore } from "./session.ts";
import { SignInPrompt } from "./sign-in-prompt.ts";
import type { Store } from "./store.ts";

/** What the page knows of its customer. */
export interface Shop {
  readonly session: SessionStore;
  readonly signIn: SignInPrompt;
  readonly basket: Basket;
  readonly attempt: Store<OrderAttempt | undefined>;
}

export function openShop(): Shop {
  return {
    session: openSession(sessionStorage),
    signIn: new SignInPrompt(),
    basket: openBasket(localStorage),
    attempt: openOrderAttempt(sessionStorage),
  };
}

export const ShopContext = createContext<Shop | undefined>(undefined);

/** The shop that a component is in. */
export function useShop(): Shop {
  const shop = useContext(ShopContext);
  if (!shop) throw new Error("this component belongs into a ShopContext");
  return shop;
}

/** The id of the customer, who signs in first if need be. Rejects with UNAUTHENTICATED if the customer would rather not. */
export async function customerIdOf({ session, signIn }: Shop): Promise<string> {
  if (!session.get()) await signIn.ask();
  const customer = session.get();
  if (!customer) throw new ConnectError("you are not signed in", Code.Unauthenticated);
  return customer.customerId;
}
