import { expect, test } from "vitest";
import { contractLine, releaseChangelog } from "./changelog.ts";
import { parseVersion } from "./version.ts";

const version = parseVersion("0.4.0");
const released = (text: string) => releaseChangelog(text, version, "2026-11-29", "- **contracts**: them.");

test("what was unreleased becomes the release, with the line about its contracts", () => {
  expect(
    released(
      "# Changelog\n\n## [Unreleased]\n\n### Added\n- One.\n\n### Fixed\n- Two.\n\n## [0.3.0] - 2026-11-28\n\n- Old.\n",
    ),
  ).toBe(
    "# Changelog\n\n## [0.4.0] - 2026-11-29\n\n### Added\n- One.\n- **contracts**: them.\n\n### Fixed\n- Two.\n\n## [0.3.0] - 2026-11-28\n\n- Old.\n",
  );
});

test("a last section without anything added gets it first", () => {
  expect(released("# Changelog\n\n## [Unreleased]\n\n### Fixed\n- Two.\n")).toBe(
    "# Changelog\n\n## [0.4.0] - 2026-11-29\n\n### Added\n- **contracts**: them.\n\n### Fixed\n- Two.\n",
  );
});

test("a changelog where nothing is unreleased gets a section", () => {
  expect(released("# Changelog\n\n## [0.3.0] - 2026-11-28\n\n- Old.\n")).toBe(
    "# Changelog\n\n## [0.4.0] - 2026-11-29\n\n### Added\n- **contracts**: them.\n\n## [0.3.0] - 2026-11-28\n\n- Old.\n",
  );
});

test("the line counts what is new", () => {
  const proposal = { level: "minor", version, reasons: { major: [], minor: [], patch: [] } } as const;
  expect(
    contractLine(version, {
      ...proposal,
      added: new Map([
        ["RPC", 1],
        ["route", 27],
      ]),
    }),
  ).toBe("- **contracts**: `contracts/released/v0.4.0.binpb` (minor; new: 1 RPC, 27 routes).");
  expect(contractLine(version, { ...proposal, added: new Map() })).toContain("nothing new to call");
});
