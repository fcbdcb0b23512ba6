import { Link } from "wouter";
import { Page } from "../parts/page.tsx";

export function NothingPage() {
  return (
    <Page title="There is nothing here">
      <p>
        The address is wrong, or what was here is gone. <Link href="/">See what is for sale</Link>
      </p>
    </Page>
  );
}
