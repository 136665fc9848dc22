package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // so that it takes compressed messages
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

var cancelled atomic.Int64

// echoed is what goes back of the metadata: not x-forwarded-..., which must not be in trailers.
func echoed(ctx context.Context) metadata.MD {
	out := metadata.MD{}
	in, _ := metadata.FromIncomingContext(ctx)
	for _, key := range []string{"x-a", "x-b", "x-c-bin"} {
		out.Append(key, in.Get(key)...)
	}
	return out
}

// echo sends back the client's metadata: x-first-bin at the beginning, the rest behind the last message.
func echo(stream grpc.ServerStream) {
	in, _ := metadata.FromIncomingContext(stream.Context())
	_ = stream.SetHeader(metadata.MD{"x-first-bin": in.Get("x-first-bin")})
	stream.SetTrailer(echoed(stream.Context()))
}

func receive(stream grpc.ServerStream) ([]byte, error) {
	var message []byte
	err := stream.RecvMsg(&message)
	return message, err
}

// each calls with every message until the client's last.
func each(stream grpc.ServerStream, call func(message []byte) error) error {
	for {
		message, err := receive(stream)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = call(message)
		}
		if err != nil {
			return err
		}
	}
}

// one makes a handler of a function from the one message to the one answer.
func one(answer func(ctx context.Context, message []byte) ([]byte, error)) grpc.StreamHandler {
	return func(_ any, stream grpc.ServerStream) error {
		message, err := receive(stream)
		if err != nil {
			return err
		}
		if message, err = answer(stream.Context(), message); err != nil {
			return err
		}
		echo(stream)
		return stream.SendMsg(&message)
	}
}

func unary(_ context.Context, message []byte) ([]byte, error) { return message, nil }

func serverStream(_ any, stream grpc.ServerStream) error {
	message, err := receive(stream)
	if err != nil {
		return err
	}
	var count, size int
	if _, err := fmt.Sscanf(string(message), "%d,%d", &count, &size); err != nil {
		return err
	}
	echo(stream)
	for i := range count {
		part := bytes.Repeat([]byte{byte(i)}, size)
		if err := stream.SendMsg(&part); err != nil {
			return err
		}
	}
	return nil
}

func clientStream(_ any, stream grpc.ServerStream) error {
	count, total := 0, 0
	err := each(stream, func(message []byte) error {
		count++
		total += len(message)
		return nil
	})
	if err != nil {
		return err
	}
	echo(stream)
	answer := fmt.Appendf(nil, "%d,%d", count, total)
	return stream.SendMsg(&answer)
}

func bidi(_ any, stream grpc.ServerStream) error {
	echo(stream)
	return each(stream, func(message []byte) error { return stream.SendMsg(&message) })
}

func fail(_ context.Context, message []byte) ([]byte, error) {
	code, err := strconv.Atoi(string(message))
	if err != nil {
		return nil, err
	}
	return nil, status.Error(codes.Code(code), "as asked: 50% é")
}

func slow(ctx context.Context, message []byte) ([]byte, error) {
	select {
	case <-ctx.Done():
		cancelled.Add(1)
		return nil, status.FromContextError(ctx.Err()).Err()
	case <-time.After(30 * time.Second):
		return message, nil
	}
}

func countCancelled(context.Context, []byte) ([]byte, error) {
	return strconv.AppendInt(nil, cancelled.Load(), 10), nil
}

func serve(address string, _ []string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	// Every kind of call is a stream to the wire, so also to the server.
	streams := map[string]grpc.StreamHandler{
		"Unary": one(unary), "ServerStream": serverStream, "ClientStream": clientStream, "Bidi": bidi,
		"Fail": one(fail), "Slow": one(slow), "Cancelled": one(countCancelled),
		"Soak": soak, "Soaking": one(countSoaking),
	}
	service := grpc.ServiceDesc{ServiceName: "echo.Echo", HandlerType: (*any)(nil)}
	for name, handler := range streams {
		service.Streams = append(service.Streams, grpc.StreamDesc{
			StreamName: name, Handler: handler, ServerStreams: true, ClientStreams: true})
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(raw{}), grpc.MaxRecvMsgSize(noLimit))
	server.RegisterService(&service, struct{}{})
	return server.Serve(listener)
}
