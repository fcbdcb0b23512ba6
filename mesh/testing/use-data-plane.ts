import { inject } from "vitest";
import { useDataPlane } from "../rpc/data-planes.ts";

// Before each test file: what it opens without saying on which data plane, and the processes that it starts.
const name = inject("dataPlane");
useDataPlane(name);
process.env.MESH_DATA_PLANE = name;
