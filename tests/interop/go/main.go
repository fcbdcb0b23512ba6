// Command interop is a peer of gRPC by grpc-go: a server, or a client that runs one case.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

const usage = "interop serve | interop cases | interop call PORT CASE"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "serve":
		return serve()
	case len(args) == 1 && args[0] == "cases":
		fmt.Println(strings.Join(caseNames(), "\n"))
		return nil
	case len(args) == 3 && args[0] == "call":
		ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
		defer cancel()
		return call(ctx, args[2], args[1])
	default:
		return fmt.Errorf("usage: %s", usage)
	}
}
