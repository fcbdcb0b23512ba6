import { getOption } from "@bufbuild/protobuf";
import { code } from "../../../gen/mesh/error/v1/error_pb.ts";
import { enumsOf } from "../plugin/contracts.ts";
import type { BreakingRule } from "../plugin/rule.ts";
import { isOfErrors } from "./reason-has-code.ts";

/** Callers branch on the reason's name, and libraries between them on its code. */
export const rule: BreakingRule = {
  id: "MESH_ERROR_REASON_KEPT",
  purpose: "Checks that no error reason is deleted, renamed or given another gRPC code.",
  *compare(before, now) {
    for (const was of enumsOf(before)) {
      const is = isOfErrors(was.file.proto.name) ? now.registry.getEnum(was.typeName) : undefined;
      if (!is) continue;
      for (const reason of was.values) {
        const same = is.values.find(({ name }) => name === reason.name);
        if (!same) yield { at: is, message: `${reason.name} is gone: callers may wait for it.` };
        else if (getOption(same, code) !== getOption(reason, code))
          yield { at: same, option: code, message: `${reason.name} has another gRPC code than it had.` };
      }
    }
  },
};
