import { TransportProvider } from "@connectrpc/connect-query";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { signedIn } from "./calls/signed-in.ts";
import { gatewayTransport } from "./calls/transport.ts";
import { openShop, ShopContext } from "./shop.ts";

const shop = openShop();
const transport = signedIn(gatewayTransport(), shop.session, shop.signIn.ask);
const queries = new QueryClient({
  defaultOptions: {
    // Retries are the mesh's, by the contract; and a call tells better than the browser whether the shop can be reached.
    queries: { retry: false, networkMode: "always", staleTime: 2_000 },
    mutations: { retry: false, networkMode: "always" },
  },
});

const place = document.getElementById("page");
if (!place) throw new Error("index.html has no place for the page");
createRoot(place).render(
  <ShopContext value={shop}>
    <TransportProvider transport={transport}>
      <QueryClientProvider client={queries}>
        <App />
      </QueryClientProvider>
    </TransportProvider>
  </ShopContext>,
);
