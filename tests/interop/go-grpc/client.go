package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const long = time.Minute

var channel *grpc.ClientConn

// call is a unary call.
func call(ctx context.Context, name string, message []byte, options ...grpc.CallOption) ([]byte, error) {
	var answer []byte
	err := channel.Invoke(ctx, "/echo.Echo/"+name, &message, &answer, options...)
	return answer, err
}

func limited(limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), limit)
}

// stream is a call of any other kind; its context ends with the program's patience.
func stream(name string, pairs ...string) (grpc.ClientStream, error) {
	ctx, end := limited(long)
	context.AfterFunc(ctx, end)
	return channel.NewStream(metadata.AppendToOutgoingContext(ctx, pairs...),
		&grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/echo.Echo/"+name)
}

// send sends all of it in the background, so that answers are read meanwhile, and ends the sending.
func send(s grpc.ClientStream, messages int, message func(i int) []byte) <-chan error {
	done := make(chan error, 1)
	go func() {
		for i := range messages {
			part := message(i)
			if err := s.SendMsg(&part); err != nil {
				done <- err
				return
			}
		}
		done <- s.CloseSend()
	}()
	return done
}

// exchange sends `messages` messages; those that come back must be `answers`, as `wanted` makes them.
func exchange(s grpc.ClientStream, messages int, message func(i int) []byte, answers int, wanted func(i int) []byte) error {
	sent := send(s, messages, message)
	for i := range answers {
		var got []byte
		if err := s.RecvMsg(&got); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		if want := wanted(i); !bytes.Equal(got, want) {
			return fmt.Errorf("message %d: %d bytes %.20q, not %d bytes %.20q", i, len(got), got, len(want), want)
		}
	}
	var more []byte
	if err := s.RecvMsg(&more); err != io.EOF {
		return fmt.Errorf("%v instead of the end", err)
	}
	return <-sent
}

func number(i int) []byte { return strconv.AppendInt(nil, int64(i), 10) }

func random(size int) []byte {
	out := make([]byte, size)
	rand.Read(out)
	return out
}

func always(message []byte) func(int) []byte { return func(int) []byte { return message } }

func unaryCalls() error {
	ctx, end := limited(long)
	defer end()
	var trailer metadata.MD
	answer, err := call(metadata.AppendToOutgoingContext(ctx, "x-a", "1"), "Unary", []byte("hello"), grpc.Trailer(&trailer))
	if err != nil || string(answer) != "hello" || len(trailer["x-a"]) != 1 || trailer["x-a"][0] != "1" {
		return fmt.Errorf("%q, %v, %v", answer, trailer, err)
	}
	for _, message := range [][]byte{{}, random(4 << 20)} {
		if answer, err := call(ctx, "Unary", message); err != nil || !bytes.Equal(answer, message) {
			return fmt.Errorf("%d of %d bytes came back: %w", len(answer), len(message), err)
		}
	}
	failures := make([]error, 200)
	var all sync.WaitGroup
	for i := range failures {
		all.Go(func() {
			answer, err := call(ctx, "Unary", number(i))
			if err == nil && !bytes.Equal(answer, number(i)) {
				err = fmt.Errorf("%q to %d", answer, i)
			}
			failures[i] = err
		})
	}
	all.Wait()
	return errors.Join(failures...)
}

func streams() error {
	large, part := random(1<<20), bytes.Repeat([]byte("x"), 10000)
	for _, kind := range []struct {
		name     string
		messages int
		message  func(int) []byte
		answers  int
		wanted   func(int) []byte
	}{
		{"ServerStream", 1, always([]byte("100,10000")), 100, func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 10000) }},
		{"ClientStream", 100, always(part), 1, always([]byte("100,1000000"))},
		{"ClientStream", 0, nil, 1, always([]byte("0,0"))},
		{"Bidi", 500, number, 500, number},
		{"Bidi", 8, always(large), 8, always(large)},
	} {
		s, err := stream(kind.name, "x-b", "2")
		if err == nil {
			err = exchange(s, kind.messages, kind.message, kind.answers, kind.wanted)
		}
		if err == nil && (len(s.Trailer()["x-b"]) != 1 || s.Trailer()["x-b"][0] != "2") {
			err = fmt.Errorf("trailers %v", s.Trailer())
		}
		if err != nil {
			return fmt.Errorf("%s of %d messages: %w", kind.name, kind.messages, err)
		}
	}
	return nil
}

// Each message waits for the answer to the one before: nothing may be held back.
func pingPong() error {
	s, err := stream("Bidi")
	for i := 0; i < 50 && err == nil; i++ {
		var answer []byte
		message := number(i)
		if err = s.SendMsg(&message); err == nil {
			err = s.RecvMsg(&answer)
		}
		if err == nil && !bytes.Equal(answer, message) {
			err = fmt.Errorf("%q to %d", answer, i)
		}
	}
	if err != nil {
		return err
	}
	return exchange(s, 0, nil, 0, nil)
}

func errorsOfCalls() error {
	ctx, end := limited(long)
	defer end()
	for _, code := range []codes.Code{codes.NotFound, codes.Unavailable, codes.Internal} {
		_, err := call(ctx, "Fail", number(int(code)))
		if status.Code(err) != code || status.Convert(err).Message() != "as asked: 50% é" {
			return fmt.Errorf("%v instead of %v", err, code)
		}
	}
	if _, err := call(ctx, "None", nil); status.Code(err) != codes.Unimplemented {
		return fmt.Errorf("%v from no method", err)
	}
	return nil
}

func countOfCancelled() int {
	ctx, end := limited(long)
	defer end()
	answer, err := call(ctx, "Cancelled", nil)
	count, notNumber := strconv.Atoi(string(answer))
	if err != nil || notNumber != nil {
		return -1
	}
	return count
}

// A deadline, a cancelled call and a stream that is cancelled in the middle: the server hears of each.
func endsEarly() error {
	before := countOfCancelled()
	short, end := limited(300 * time.Millisecond)
	defer end()
	// The server knows the deadline too, and Go's resets the stream: what a proxy makes of that may come first.
	_, err := call(short, "Slow", nil)
	if code := status.Code(err); code != codes.DeadlineExceeded && code != codes.Unavailable {
		return fmt.Errorf("%v at the deadline", err)
	}
	ctx, cancel := limited(long)
	time.AfterFunc(200*time.Millisecond, cancel)
	if _, err := call(ctx, "Slow", nil); status.Code(err) != codes.Canceled {
		return fmt.Errorf("%v of the cancelled call", err)
	}
	for end := time.Now().Add(20 * time.Second); countOfCancelled() < before+2; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("the server never heard of the cancel")
		}
	}
	return cancelInTheMiddle()
}

func cancelInTheMiddle() error {
	ctx, cancel := limited(long)
	defer cancel()
	s, err := channel.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/echo.Echo/ServerStream")
	if err != nil {
		return err
	}
	sent := send(s, 1, always([]byte("1000000,10000")))
	for i := 0; err == nil; i++ {
		var part []byte
		if err = s.RecvMsg(&part); i == 10 {
			cancel()
		}
	}
	if status.Code(err) != codes.Canceled {
		return fmt.Errorf("%v of the cancelled stream", err)
	}
	return <-sent
}

func runCases(address string, _ []string) error {
	var err error
	if channel, err = dial(address); err != nil {
		return err
	}
	defer channel.Close()
	for _, test := range []struct {
		name string
		run  func() error
	}{
		{"unary calls", unaryCalls}, {"streams", streams}, {"ping pong", pingPong}, {"errors", errorsOfCalls},
		{"ends early", endsEarly},
	} {
		if err := test.run(); err != nil {
			return fmt.Errorf("%s: %w", test.name, err)
		}
		fmt.Println(test.name, "ok")
	}
	return nil
}
