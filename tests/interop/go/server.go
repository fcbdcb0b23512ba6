package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const serviceName = "weft.interop.v1.InteropService"

// peer is the server's half: it answers as service.ts does.
type peer struct {
	cancelled atomic.Uint64
	open      atomic.Int64
}

// serve listens on a free port, says which, and ends with its standard input.
func serve() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(codec{}), grpc.MaxRecvMsgSize(maxMessageBytes))
	server.RegisterService(describe(&peer{}), nil)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		server.Stop()
	}()
	return server.Serve(listener)
}

func describe(p *peer) *grpc.ServiceDesc {
	unary := func(_ any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		asked := &request{}
		if err := read(asked); err != nil {
			return nil, err
		}
		return p.unary(ctx, asked)
	}
	stream := func(name string, handler grpc.StreamHandler) grpc.StreamDesc {
		return grpc.StreamDesc{
			StreamName:    name,
			Handler:       handler,
			ServerStreams: name != "ClientStream",
			ClientStreams: name != "ServerStream",
		}
	}
	return &grpc.ServiceDesc{
		ServiceName: serviceName,
		Methods:     []grpc.MethodDesc{{MethodName: "Unary", Handler: unary}},
		Streams: []grpc.StreamDesc{
			stream("ClientStream", p.clientStream),
			stream("ServerStream", p.serverStream),
			stream("BidiStream", p.bidiStream),
		},
	}
}

func (p *peer) unary(ctx context.Context, asked *request) (*response, error) {
	header, trailer := echoed(ctx)
	if err := grpc.SetHeader(ctx, header); err != nil {
		return nil, err
	}
	if err := grpc.SetTrailer(ctx, trailer); err != nil {
		return nil, err
	}
	if err := p.act(ctx, asked); err != nil {
		return nil, err
	}
	answer := &response{payload: asked.payload}
	if asked.act == "cancelled" {
		answer.count = p.cancelled.Load()
	} else if deadline, ok := ctx.Deadline(); ok {
		answer.count = uint64(time.Until(deadline).Milliseconds())
	}
	return answer, nil
}

func (p *peer) clientStream(_ any, stream grpc.ServerStream) error {
	answer := &response{}
	for {
		asked := &request{}
		if err := stream.RecvMsg(asked); errors.Is(err, io.EOF) {
			return stream.SendMsg(answer)
		} else if err != nil {
			return err
		}
		answer.count++
		answer.payload = asked.payload
	}
}

func (p *peer) serverStream(_ any, stream grpc.ServerStream) error {
	header, trailer := echoed(stream.Context())
	if err := stream.SetHeader(header); err != nil {
		return err
	}
	stream.SetTrailer(trailer)
	asked := &request{}
	if err := stream.RecvMsg(asked); err != nil {
		return err
	}
	for at := range asked.answers {
		if err := stream.SendMsg(&response{payload: asked.payload, count: at}); err != nil {
			return err
		}
	}
	return p.act(stream.Context(), asked)
}

func (p *peer) bidiStream(_ any, stream grpc.ServerStream) error {
	open := p.open.Add(1)
	defer p.open.Add(-1)
	for {
		asked := &request{}
		if err := stream.RecvMsg(asked); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := p.act(stream.Context(), asked); err != nil {
			return err
		}
		if err := stream.SendMsg(&response{payload: asked.payload, count: uint64(open)}); err != nil {
			return err
		}
	}
}

// act does what a request asks for beside its answer.
func (p *peer) act(ctx context.Context, asked *request) error {
	switch asked.act {
	case "fail":
		return refusal()
	case "hang":
		<-ctx.Done()
		p.cancelled.Add(1)
		return status.FromContextError(ctx.Err()).Err()
	default:
		return nil
	}
}

func refusal() error {
	refused, err := status.New(codes.FailedPrecondition, refusalText).WithDetails(&errdetails.ErrorInfo{
		Reason:   "OUT_OF_STOCK",
		Domain:   "interop.weft",
		Metadata: map[string]string{"product": "größer"},
	})
	if err != nil {
		return err
	}
	return refused.Err()
}

// echoed is what a call says with its metadata, as headers and as trailers.
func echoed(ctx context.Context) (metadata.MD, metadata.MD) {
	asked, _ := metadata.FromIncomingContext(ctx)
	header, trailer := metadata.MD{}, metadata.MD{}
	header.Append("x-text", asked.Get("x-text")...)
	header.Append("x-raw-bin", asked.Get("x-raw-bin")...)
	trailer.Append("x-text-end", asked.Get("x-text")...)
	trailer.Append("x-raw-end-bin", asked.Get("x-raw-bin")...)
	return header, trailer
}
