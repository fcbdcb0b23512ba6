import { readFileSync } from "node:fs";
import type { DescService } from "@bufbuild/protobuf";
import { NO_OVERRIDES, type Policies } from "../contract/policy.ts";
import { parseOverrides } from "../contract/policy-overrides.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { Running } from "../core/process.ts";

/** The file that holds a deployment's policies, and who follows it. */
export interface PolicyFileOptions {
  /** The path, of JSON as `mesh.policy.v1.PolicyOverrides` has it; empty for none. */
  readonly file: string;
  readonly policies: Policies;
  /** The services whose policies this process uses: its own, and those that it calls. */
  readonly services: readonly DescService[];
  readonly log: Log;
  /** Told after other policies were put in place. */
  readonly onChange: () => void;
}

/**
 * Puts the policies of a file over those of the contracts, now and at each SIGHUP. Throws if the file cannot be used
 * now; a file that cannot be used later is logged, and what was in place stays.
 */
export function followPolicyFile({ file, policies, services, log, onChange }: PolicyFileOptions): Running {
  if (file === "") return { async stop() {} };
  const load = () => {
    policies.use(parseOverrides(readFileSync(file, "utf8"), services));
    onChange();
    log.info({ file }, "policies read");
  };
  const reload = () => {
    try {
      load();
    } catch (error) {
      log.error({ file, error: messageOf(error) }, "the policy file was not taken; what was in place stays");
    }
  };
  load();
  process.on("SIGHUP", reload);
  return {
    async stop() {
      process.off("SIGHUP", reload);
      policies.use(NO_OVERRIDES);
    },
  };
}
