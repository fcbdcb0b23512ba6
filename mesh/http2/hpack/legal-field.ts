/**
 * True for what can be a header of HTTP/2: a name is a token in lower case, or a pseudo-header's; a value has no control
 * characters but tabs, and no white space around it (RFC 9113, section 8.2.1).
 */
export function isLegal(name: string, value: string): boolean {
  return NAME.test(name) && VALUE.test(value);
}

const NAME = /^:?[a-z0-9!#$%&'*+.^_`|~-]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const VALUE = /^(?![\t ])[^\x00-\x08\x0a-\x1f\x7f]*(?<![\t ])$/;
