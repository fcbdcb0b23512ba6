/** What an answer must not hold: where code is, what it is made of, where others listen, and what is secret. */
export const INTERNAL =
  /node_modules|\.ts:\d|\.js:\d|\\n +at |[A-Z][a-z]+Error|postgres|ECONN|EPIPE|127\.0\.0\.1|operator-secret|hash/;
