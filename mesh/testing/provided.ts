declare module "vitest" {
  /** What the set-up of a run hands to its test files. */
  interface ProvidedContext {
    /** The run's PostgreSQL, as its administrator. */
    postgresUrl: string;
    /** The path of the nats-server to start. */
    natsServer: string;
    /** The data plane that tests run on. */
    dataPlane: string;
    /** A folder for what the run writes; it goes with the run. */
    testDir: string;
  }
}

export {};
