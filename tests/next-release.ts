import { clone, type DescService, getOption, setExtension } from "@bufbuild/protobuf";
import { ServiceOptionsSchema } from "@bufbuild/protobuf/wkt";
import { SubscriptionSchema, subscriptions } from "../gen/mesh/event/v1/event_pb.ts";
import { atEnd } from "../mesh/testing/at-end.ts";

/**
 * Raises the build of read models to 2, as the next release of their service would, until the test ends. Instances that run
 * have read the contract before.
 */
export function nextRelease(service: DescService, ...readModels: readonly string[]): void {
  const { proto } = service;
  const before = clone(ServiceOptionsSchema, proto.options ?? ({} as never));
  atEnd(async () => {
    proto.options = before;
  });
  const changed = getOption(service, subscriptions).map((each) =>
    readModels.includes(each.name) ? { ...clone(SubscriptionSchema, each), build: 2 } : each,
  );
  setExtension(proto.options ?? ({} as never), subscriptions, changed);
}
