import { Command, CommanderError } from "commander";
import { addCompletion } from "./completion.ts";
import { addConsumers } from "./consumers.ts";
import { addDeadLetters } from "./dlq.ts";
import { addEvents } from "./events.ts";
import { EXIT, failureOf } from "./failure.ts";
import { addHealth } from "./health.ts";
import { addKeys } from "./keys.ts";
import { addOutbox } from "./outbox.ts";
import { Session, type Surroundings } from "./session.ts";

const ABOUT = `
Where the services are is said by <SERVICE>_TARGET (AUDIT_TARGET=static:///host:port); else they are where make run puts them.
MESH_OPERATOR_TOKEN proves that you are an operator, where the services ask for that.

Exit codes: 0 done, 1 refused or not well, 2 the command line makes no sense or lacks a consent, 3 no answer.

Examples:
  meshctl dlq ls --group-by reason
  meshctl dlq replay --consumer notification__orders --note "mail server is back"
  meshctl events tail --type OrderPlaced
  meshctl health --json`;

/** Runs one command line. Returns what the process is to end with; never throws for what an operator can do wrong. */
export async function run(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const session = new Session(surroundings);
  try {
    await programOf(session).parseAsync([...args], { from: "user" });
    return EXIT.done;
  } catch (error) {
    // Commander has said it by itself; that help was asked for is no failure.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    const { text, exitCode } = failureOf(error, session.asked);
    session.remark(`meshctl: ${text}`);
    return exitCode;
  } finally {
    session.close();
  }
}

/** All commands. */
function programOf(session: Session): Command {
  const program = new Command("meshctl")
    .description("The operators' command line: dead letters, events, outboxes, consumers, keys, health.")
    .option("--json", "answer in JSON, for programs")
    .addHelpText("after", ABOUT)
    .hook("preAction", (_, command) => {
      session.isJson = command.optsWithGlobals().json === true;
    });
  addDeadLetters(program, session);
  addEvents(program, session);
  addOutbox(program, session);
  addConsumers(program, session);
  addKeys(program, session);
  addHealth(program, session);
  addCompletion(program, (line) => session.say(line));
  for (const command of allCommands(program)) {
    command
      .exitOverride()
      .showHelpAfterError("(--help says more, with examples)")
      .configureOutput({
        writeOut: (text) => session.write(text),
        writeErr: (text) => session.remark(text.trimEnd()),
      });
    // Wherever it is said.
    if (command !== program && command.commands.length === 0)
      command.option("--json", "answer in JSON, for programs");
  }
  return program;
}

function allCommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(allCommands)];
}
