import { Argument, type Command } from "commander";

/** Adds `completion`: what a shell needs to complete our words. */
export function addCompletion(program: Command, say: (line: string) => void): void {
  program
    .command("completion")
    .addArgument(new Argument("<shell>").choices(["bash", "zsh"]))
    .description("print what makes a shell complete meshctl's commands and options")
    .addHelpText(
      "after",
      "\nExamples:\n  source <(meshctl completion bash)\n  source <(meshctl completion zsh)",
    )
    .action((shell: "bash" | "zsh") => say(completionOf(program, shell)));
}

/** The script for a shell, from the commands themselves, so that it knows all of them. */
export function completionOf(program: Command, shell: "bash" | "zsh"): string {
  const cases = [...wordsOf(program, "")].map(
    ([path, words]) => `    "${path}") words="${words.join(" ")}" ;;`,
  );
  const script = `_meshctl() {
  local path="" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case " $(_meshctl_commands "$path") " in *" $word "*) path="$path $word" ;; esac
  done
  words="$(_meshctl_commands "$path")"
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
_meshctl_commands() {
  local words=""
  case "$1" in
${cases.join("\n")}
  esac
  echo "$words"
}
complete -F _meshctl meshctl`;
  return shell === "bash" ? script : `autoload -U +X bashcompinit && bashcompinit\n${script}`;
}

/** What may follow each command, by the words before. */
function* wordsOf(command: Command, path: string): Generator<[string, string[]]> {
  const options = command.options.map(({ long, short }) => long ?? short ?? "");
  yield [path, [...command.commands.map((each) => each.name()), ...options, "--help"]];
  for (const each of command.commands) yield* wordsOf(each, `${path} ${each.name()}`);
}
