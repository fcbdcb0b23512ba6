interface Range {
  readonly type: string;
  readonly subtype: string;
  /** 0 to 1. */
  readonly quality: number;
}

/**
 * Which of these media types the header `accept` likes best (RFC 9110, section 12.5.1): the first of them if it likes
 * several alike, or says nothing. Undefined if it takes none.
 */
export function preferred<const T extends string>(
  accept: string | null,
  offers: readonly T[],
): T | undefined {
  if (accept === null || accept.trim() === "") return offers[0];
  const ranges = accept.split(",").map(readRange);
  let best: { readonly offer: T; readonly quality: number } | undefined;
  for (const offer of offers) {
    const quality = qualityOf(offer, ranges);
    if (quality > (best?.quality ?? 0)) best = { offer, quality };
  }
  return best?.offer;
}

function readRange(text: string): Range {
  const [range = "", ...parameters] = text.split(";").map((part) => part.trim().toLowerCase());
  const [type = "", subtype = ""] = range.split("/");
  const [, quality = "1"] =
    parameters.map((each) => /^q=([01](?:\.\d{0,3})?)$/.exec(each)).find(Boolean) ?? [];
  return { type, subtype, quality: Number(quality) };
}

/** That of the range which says the most of this type; 0 if there is none. */
function qualityOf(offer: string, ranges: readonly Range[]): number {
  const [type, subtype] = offer.split("/");
  const exact = ranges.find((range) => range.type === type && range.subtype === subtype);
  const ofType = ranges.find((range) => range.type === type && range.subtype === "*");
  const any = ranges.find((range) => range.type === "*" && range.subtype === "*");
  return (exact ?? ofType ?? any)?.quality ?? 0;
}
