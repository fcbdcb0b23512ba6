/**
 * What a method answers that lists in pages, page by page, until the last. `ask` asks for the page behind a token; the first
 * one is behind the empty token.
 */
export async function* pages<Page extends { readonly nextPageToken: string }>(
  ask: (pageToken: string) => Promise<Page>,
): AsyncGenerator<Page> {
  for (let pageToken = ""; ; ) {
    const page = await ask(pageToken);
    yield page;
    pageToken = page.nextPageToken;
    if (pageToken === "") return;
  }
}
