/**
 * What the memory of a server may grow by, garbage left out, whatever one peer does: 32 MiB that a connection may make it hold,
 * twice while what is held moves to larger memory, and what its streams and frames are themselves.
 */
export const MAX_GROWTH_BYTES = 96 * 2 ** 20;

/** What it may still have grown by when the peer is gone: what the process keeps for the next. */
export const MAX_KEPT_BYTES = 8 * 2 ** 20;
