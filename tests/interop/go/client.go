package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	refusalText     = "nö: 100 % sold\nout"
	maxMessageBytes = 8 << 20
	largeBytes      = 4<<20 - 64
	gzipBytes       = 1 << 20
	streamsAtOnce   = 1_000
	turns           = 10
)

var raw = []byte{0, 44, 255, 61, 10}

// cases are those of cases.ts, by the names that they have there.
var cases = map[string]func(context.Context, *grpc.ClientConn) error{
	"one request, one answer": func(ctx context.Context, peer *grpc.ClientConn) error {
		answer, err := unary(ctx, peer, &request{payload: raw})
		return errors.Join(err, same("the payload", answer.payload, raw))
	},
	"many requests, one answer": func(ctx context.Context, peer *grpc.ClientConn) error {
		stream, err := open(ctx, peer, "ClientStream")
		if err != nil {
			return err
		}
		for range 100 {
			if err := stream.SendMsg(&request{payload: raw}); err != nil {
				return err
			}
		}
		answer := &response{}
		err = errors.Join(stream.CloseSend(), stream.RecvMsg(answer))
		return errors.Join(err, equal("the count", answer.count, 100))
	},
	"one request, many answers, in their order": func(ctx context.Context, peer *grpc.ClientConn) error {
		counts, err := watch(ctx, peer, &request{answers: 100})
		if err != nil {
			return err
		}
		for at, count := range counts {
			if count != uint64(at) {
				return fmt.Errorf("answer %d is %d", at, count)
			}
		}
		return equal("the answers", uint64(len(counts)), 100)
	},
	"requests and answers in turns": func(ctx context.Context, peer *grpc.ClientConn) error {
		stream, err := open(ctx, peer, "BidiStream")
		if err != nil {
			return err
		}
		for at := range turns {
			if err := turn(stream, []byte{byte(at)}); err != nil {
				return err
			}
		}
		return ends(stream)
	},
	"metadata goes both ways, text and bytes": func(ctx context.Context, peer *grpc.ClientConn) error {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-text", "a text", "x-raw-bin", string(raw))
		var header, trailer metadata.MD
		err := peer.Invoke(ctx, path("Unary"), &request{}, &response{}, grpc.Header(&header), grpc.Trailer(&trailer))
		return errors.Join(
			err,
			same("x-text", first(header, "x-text"), []byte("a text")),
			same("x-raw-bin", first(header, "x-raw-bin"), raw),
			same("x-text-end", first(trailer, "x-text-end"), []byte("a text")),
			same("x-raw-end-bin", first(trailer, "x-raw-end-bin"), raw),
		)
	},
	"a status arrives with its details": func(ctx context.Context, peer *grpc.ClientConn) error {
		_, err := unary(ctx, peer, &request{act: "fail"})
		return refused(err)
	},
	"a status arrives after the answers before it": func(ctx context.Context, peer *grpc.ClientConn) error {
		counts, err := watch(ctx, peer, &request{answers: 3, act: "fail"})
		return errors.Join(refused(err), equal("the answers", uint64(len(counts)), 3))
	},
	"the server knows the deadline": func(ctx context.Context, peer *grpc.ClientConn) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		answer, err := unary(ctx, peer, &request{})
		if err == nil && (answer.count == 0 || answer.count > 60_000) {
			return fmt.Errorf("%d ms were left of 60,000", answer.count)
		}
		return err
	},
	"a call that is not answered in time is DEADLINE_EXCEEDED": func(ctx context.Context, peer *grpc.ClientConn) error {
		ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		_, err := unary(ctx, peer, &request{act: "hang"})
		return equal("the code", uint64(status.Code(err)), uint64(codes.DeadlineExceeded))
	},
	"a call that is cancelled is so at the server": func(ctx context.Context, peer *grpc.ClientConn) error {
		before, err := unary(ctx, peer, &request{act: "cancelled"})
		if err != nil {
			return err
		}
		cancellable, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := open(cancellable, peer, "ServerStream")
		if err != nil {
			return err
		}
		err = errors.Join(stream.SendMsg(&request{answers: 1, act: "hang"}), stream.CloseSend(), stream.RecvMsg(&response{}))
		if err != nil {
			return err
		}
		cancel()
		if code := status.Code(stream.RecvMsg(&response{})); code != codes.Canceled {
			return fmt.Errorf("the code is %v", code)
		}
		for {
			now, err := unary(ctx, peer, &request{act: "cancelled"})
			if err != nil || now.count > before.count {
				return err
			}
		}
	},
	"messages are compressed with gzip": func(ctx context.Context, peer *grpc.ClientConn) error {
		payload := make([]byte, gzipBytes)
		answer := &response{}
		err := peer.Invoke(ctx, path("Unary"), &request{payload: payload}, answer, grpc.UseCompressor(gzip.Name))
		return errors.Join(err, same("the payload", answer.payload, payload))
	},
	"a message of 4 MiB goes both ways": func(ctx context.Context, peer *grpc.ClientConn) error {
		payload := bytes.Repeat([]byte("weft"), largeBytes/4)
		answer, err := unary(ctx, peer, &request{payload: payload})
		return errors.Join(err, same("the payload", answer.payload, payload))
	},
	"1,000 streams are open at once": func(ctx context.Context, peer *grpc.ClientConn) error {
		failures := make([]error, streamsAtOnce)
		var answered, done sync.WaitGroup
		answered.Add(streamsAtOnce)
		for at := range streamsAtOnce {
			done.Go(func() {
				stream, err := open(ctx, peer, "BidiStream")
				if err == nil {
					err = turn(stream, []byte{byte(at)})
				}
				answered.Done()
				// All have been answered, and none has ended.
				answered.Wait()
				if err == nil {
					err = errors.Join(turn(stream, []byte{byte(at + 1)}), ends(stream))
				}
				failures[at] = err
			})
		}
		done.Wait()
		return errors.Join(failures...)
	},
}

// call runs one case against the server on a port.
func call(ctx context.Context, name string, port string) error {
	run, ok := cases[name]
	if !ok {
		return fmt.Errorf("there is no case %q", name)
	}
	peer, err := grpc.NewClient(
		"passthrough:///127.0.0.1:"+port,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(maxMessageBytes)),
	)
	if err != nil {
		return err
	}
	return errors.Join(run(ctx, peer), peer.Close())
}

func caseNames() []string {
	names := make([]string, 0, len(cases))
	for name := range cases {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func path(method string) string { return "/" + serviceName + "/" + method }

func unary(ctx context.Context, peer *grpc.ClientConn, asked *request) (*response, error) {
	answer := &response{}
	return answer, peer.Invoke(ctx, path("Unary"), asked, answer)
}

func open(ctx context.Context, peer *grpc.ClientConn, method string) (grpc.ClientStream, error) {
	desc := &grpc.StreamDesc{ServerStreams: method != "ClientStream", ClientStreams: method != "ServerStream"}
	return peer.NewStream(ctx, desc, path(method))
}

// watch is the counts of all answers, and how they ended.
func watch(ctx context.Context, peer *grpc.ClientConn, asked *request) ([]uint64, error) {
	stream, err := open(ctx, peer, "ServerStream")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(stream.SendMsg(asked), stream.CloseSend()); err != nil {
		return nil, err
	}
	var counts []uint64
	for {
		answer := &response{}
		if err := stream.RecvMsg(answer); errors.Is(err, io.EOF) {
			return counts, nil
		} else if err != nil {
			return counts, err
		}
		counts = append(counts, answer.count)
	}
}

func turn(stream grpc.ClientStream, payload []byte) error {
	answer := &response{}
	if err := errors.Join(stream.SendMsg(&request{payload: payload}), stream.RecvMsg(answer)); err != nil {
		return err
	}
	return same("the payload", answer.payload, payload)
}

func ends(stream grpc.ClientStream) error {
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if err := stream.RecvMsg(&response{}); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the stream ended with %v", err)
	}
	return nil
}

func refused(err error) error {
	refusal := status.Convert(err)
	if refusal.Code() != codes.FailedPrecondition || refusal.Message() != refusalText {
		return fmt.Errorf("the status is %v", err)
	}
	for _, detail := range refusal.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return errors.Join(
				same("the reason", []byte(info.GetReason()), []byte("OUT_OF_STOCK")),
				same("the product", []byte(info.GetMetadata()["product"]), []byte("größer")),
			)
		}
	}
	return errors.New("the status has no ErrorInfo")
}

func first(values metadata.MD, name string) []byte {
	if found := values.Get(name); len(found) > 0 {
		return []byte(found[0])
	}
	return nil
}

func same(what string, actual, expected []byte) error {
	if bytes.Equal(actual, expected) {
		return nil
	}
	return fmt.Errorf("%s has %d bytes, such as %q, not %d", what, len(actual), actual[:min(len(actual), 32)], len(expected))
}

func equal(what string, actual, expected uint64) error {
	if actual == expected {
		return nil
	}
	return fmt.Errorf("%s: %d, not %d", what, actual, expected)
}
