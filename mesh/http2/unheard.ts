import { Stream } from "./stream.ts";

/** A stream that nobody listens to. */
export class Unheard extends Stream {
  onHeaders(): void {}
  onData(): void {}
  onFailure(): void {}
}
