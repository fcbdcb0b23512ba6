import { Route, Switch } from "wouter";
import { BasketPage } from "./pages/basket.tsx";
import { CataloguePage } from "./pages/catalogue.tsx";
import { NothingPage } from "./pages/nothing.tsx";
import { OrderPage } from "./pages/order.tsx";
import { OrdersPage } from "./pages/orders.tsx";
import { ProductPage } from "./pages/product.tsx";
import { SignInDialog } from "./parts/sign-in-dialog.tsx";
import { SiteHeader } from "./parts/site-header.tsx";

/** The whole page. The gateway answers these paths with it, so that each may be reloaded and passed on. */
export function App() {
  return (
    <>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <SiteHeader />
      <main id="main" tabIndex={-1}>
        <Switch>
          <Route path="/" component={CataloguePage} />
          <Route path="/products/:productId">
            {({ productId }) => <ProductPage key={productId} productId={productId} />}
          </Route>
          <Route path="/basket" component={BasketPage} />
          <Route path="/orders" component={OrdersPage} />
          <Route path="/orders/:orderId">
            {({ orderId }) => <OrderPage key={orderId} orderId={orderId} />}
          </Route>
          <Route component={NothingPage} />
        </Switch>
      </main>
      <footer>
        <p>
          A shop on Weft, a gRPC-first service mesh. This page speaks Connect and REST with its gateway, as
          any program may.
        </p>
      </footer>
      <SignInDialog />
    </>
  );
}
