import { useQueryClient } from "@tanstack/react-query";
import { Link } from "wouter";
import { pieces } from "../basket.ts";
import { useShop } from "../shop.ts";
import { useStore } from "../store.ts";

/** The way to everywhere, and who has signed in. */
export function SiteHeader() {
  const { basket, session, signIn, attempt } = useShop();
  const count = pieces(useStore(basket));
  const customer = useStore(session);
  const queries = useQueryClient();

  function signOut() {
    session.set(undefined);
    // What was one customer's is not to be seen, or sent, by the next.
    attempt.set(undefined);
    queries.clear();
  }

  return (
    <header className="site-header">
      <Link className="brand" href="/">
        <img src="/favicon.svg" width="28" height="28" alt="" />
        Weft
      </Link>
      <nav aria-label="Shop">
        <Link href="/orders">Orders</Link>
        <Link href="/basket" aria-label={`Basket, ${count} ${count === 1 ? "piece" : "pieces"}`}>
          Basket {count > 0 && <span className="count">{count}</span>}
        </Link>
        {customer ? (
          <span className="who">
            <span className="name">{customer.name}</span>
            <button type="button" className="link" onClick={signOut}>
              Sign out
            </button>
          </span>
        ) : (
          <button type="button" className="link" onClick={() => void signIn.ask()}>
            Sign in
          </button>
        )}
      </nav>
    </header>
  );
}
