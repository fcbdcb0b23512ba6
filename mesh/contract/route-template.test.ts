import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { covers, matchTemplate, overlaps, parseTemplate } from "./route-template.ts";

const shape = (text: string) =>
  parseTemplate(text).segments.map((each) =>
    each.kind === "literal" ? each.text : each.kind === "one" ? "*" : "**",
  );

test("a template is segments, variables and a verb", () => {
  expect(parseTemplate("/v1/{product.product_id}/reviews/{name=shelves/*/**}:list")).toEqual({
    text: "/v1/{product.product_id}/reviews/{name=shelves/*/**}:list",
    segments: [
      { kind: "literal", text: "v1" },
      { kind: "one" },
      { kind: "literal", text: "reviews" },
      { kind: "literal", text: "shelves" },
      { kind: "one" },
      { kind: "rest" },
    ],
    variables: [
      { fieldPath: "product.product_id", from: 1, to: 2 },
      { fieldPath: "name", from: 3, to: 6 },
    ],
    verb: "list",
  });
});

test.each([
  ["/v1", ["v1"]],
  ["/*", ["*"]],
  ["/**", ["**"]],
  ["/v1/a%20b/*", ["v1", "a b", "*"]],
  ["/v1/{id=*}", ["v1", "*"]],
  ["/v1.1/~me/a-b_c", ["v1.1", "~me", "a-b_c"]],
])("%s is read", (text, segments) => {
  expect(shape(text)).toEqual(segments);
});

describe("a template is refused, and told where", () => {
  test.each([
    ["", 'the template "" has its end where / should be'],
    ["v1", 'has "v1" where / should be'],
    ["/", "has its end where a segment should be"],
    ["/v1/", "has its end where a segment should be"],
    ["/v1//a", 'has "/a" where a segment should be'],
    ["/v1/{}", 'has "}" where the name of a field should be'],
    ["/v1/{1a}", 'has "1a}" where the name of a field should be'],
    ["/v1/{a.}", 'has "}" where the name of a field should be'],
    ["/v1/{a", "has its end where } should be"],
    ["/v1/{a=}", 'has "}" where *, ** or a text should be'],
    ["/v1/{a={b}}", 'has "{b}}" where *, ** or a text should be'],
    ["/v1/**/a", 'has "a" where nothing, since ** takes all that is left, should be'],
    ["/v1/{a=**}/b", 'has "b" where nothing, since ** takes all that is left, should be'],
    ["/v1/a*", 'has "*" where /, : or the end should be'],
    ["/v1/{a}b", 'has "b" where /, : or the end should be'],
    ["/v1:", "has its end where a verb should be"],
    ["/v1:a:b", 'has ":b" where /, : or the end should be'],
    ["/v1:a/b", 'has "/b" where /, : or the end should be'],
    ["/v1/a b", 'has " b" where /, : or the end should be'],
    ["/v1/%zz", 'has "%zz" where a segment should be'],
    ["/v1/%ff", 'has "%ff" where UTF-8 should be'],
    ["/v1?a=b", 'has "?a=b" where /, : or the end should be'],
  ])("%s", (text, problem) => {
    expect(() => parseTemplate(text)).toThrow(problem);
  });
});

describe("a path is matched", () => {
  test.each<[template: string, path: string, taken: Record<string, string> | undefined]>([
    ["/v1/orders", "/v1/orders", {}],
    ["/v1/orders", "/v1/orders/", undefined],
    ["/v1/orders", "/v1/order", undefined],
    ["/v1/orders/{id}", "/v1/orders/7", { id: "7" }],
    ["/v1/orders/{id}", "/v1/orders/", undefined],
    ["/v1/orders/{id}", "/v1/orders/7/lines", undefined],
    ["/v1/orders/{id}", "/v1/orders/a%2Fb%20c", { id: "a/b c" }],
    ["/v1/orders/{id}", "/v1/orders/%ff", undefined],
    ["/v1/orders/{id}:watch", "/v1/orders/7:watch", { id: "7" }],
    ["/v1/orders/{id}:watch", "/v1/orders/7", undefined],
    ["/v1/orders/{id}:watch", "/v1/orders/a:b:watch", { id: "a:b" }],
    ["/v1/orders:batchGet", "/v1/orders:batchGet", {}],
    ["/v1/orders:batchGet", "/v1/orders/7:batchGet", undefined],
    ["/v1/{name=shelves/*/books/*}", "/v1/shelves/1/books/2", { name: "shelves/1/books/2" }],
    ["/v1/{name=shelves/*}", "/v1/shelves/a%2Fb%20c", { name: "shelves/a%2Fb c" }],
    ["/v1/{path=**}", "/v1/a/b%2fc/d", { path: "a/b%2fc/d" }],
    ["/v1/{path=**}", "/v1", { path: "" }],
    ["/v1/{path=files/**}:read", "/v1/files/a/b:read", { path: "files/a/b" }],
    ["/v1/a%20b", "/v1/a%20b", {}],
    ["/v1/a", "v1/a", undefined],
  ])("%s takes of %s", (template, path, taken) => {
    const found = matchTemplate(parseTemplate(template), path);
    expect(found && Object.fromEntries(found)).toEqual(taken);
  });
});

const segment = fc.constantFrom("a", "b", "*");
const template = fc
  .tuple(fc.array(segment, { minLength: 1, maxLength: 3 }), fc.boolean(), fc.constantFrom("", ":go"))
  .map(([segments, hasRest, verb]) =>
    parseTemplate(`/${[...segments, ...(hasRest ? ["**"] : [])].join("/")}${verb}`),
  );
const SOME_PATHS = ["a", "b", "c"].flatMap((one) => [
  [one],
  ...["a", "b", "c"].flatMap((two) => [[one, two], ...["a", "b", "c"].map((three) => [one, two, three])]),
]);
const PATHS = SOME_PATHS.flatMap((parts) => ["", ":go"].map((verb) => `/${parts.join("/")}${verb}`));

test("templates that a path is one of overlap, and one that covers another takes all of its paths", () => {
  fc.assert(
    fc.property(template, template, (one, other) => {
      // Without a verb "a:go" is a text like another, which the order of routes settles.
      const paths = PATHS.filter((path) => path.includes(":") === (one.verb !== undefined));
      const [mine, its] = [one, other].map((each) => paths.filter((path) => matchTemplate(each, path)));
      if (one.verb !== other.verb) {
        expect(overlaps(one, other) || covers(one, other)).toBe(false);
        return;
      }
      const both = mine?.some((path) => its?.includes(path));
      if (both) expect(overlaps(one, other)).toBe(true);
      if (covers(one, other)) expect(its?.every((path) => mine?.includes(path))).toBe(true);
      expect(overlaps(one, other)).toBe(overlaps(other, one));
    }),
  );
});
