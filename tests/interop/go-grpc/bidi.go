package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	streamsOfChannel = 250
	pauseAtMost      = 400 * time.Millisecond
	watchdog         = 20 * time.Second // a stream on which nothing moves for so long hangs
	failuresShown    = 20
	endAfter         = "x-end-after" // metadata: the server ends the stream after so many messages
)

// How a stream ends.
const (
	whole = iota
	cancelledByClient
	endedByServer
	endings
)

// plan of one stream, all of it chosen before it begins.
type plan struct {
	messages int
	way      int
	after    int // messages that come back before it is cancelled or ended
}

func makePlan(messagesAtMost int) plan {
	made := plan{messages: 1 + rand.IntN(messagesAtMost)}
	if chance := rand.IntN(100); chance >= 60 {
		made.way = cancelledByClient + chance%2
		made.after = rand.IntN(made.messages)
	}
	return made
}

func pause() { time.Sleep(rand.N(pauseAtMost)) }

// numbered is a message that says its place in the stream; most are small.
func numbered(i int) []byte {
	size := 8 + rand.IntN(2000)
	if rand.IntN(50) == 0 {
		size = 8 + rand.IntN(100_000)
	}
	out := make([]byte, size)
	for at := range out {
		out[at] = byte(i)
	}
	binary.BigEndian.PutUint32(out, uint32(i))
	binary.BigEndian.PutUint32(out[4:], uint32(size))
	return out
}

func checkNumbered(i int, message []byte) error {
	if len(message) < 8 {
		return fmt.Errorf("message %d has %d bytes", i, len(message))
	}
	number, size := int(binary.BigEndian.Uint32(message)), int(binary.BigEndian.Uint32(message[4:]))
	if number != i || size != len(message) {
		return fmt.Errorf("instead of message %d came %d of %d bytes with %d", i, number, size, len(message))
	}
	for _, each := range message[8:] {
		if each != byte(i) {
			return fmt.Errorf("message %d is damaged", i)
		}
	}
	return nil
}

var soaking atomic.Int64 // handlers of soak that run

// soak echoes with pauses, until the client's last message or as many as the client asks for.
func soak(_ any, stream grpc.ServerStream) error {
	soaking.Add(1)
	defer soaking.Add(-1)
	limit := -1
	in, _ := metadata.FromIncomingContext(stream.Context())
	if asked := in.Get(endAfter); len(asked) == 1 {
		limit, _ = strconv.Atoi(asked[0])
	}
	for count := 0; ; count++ {
		if count == limit {
			return status.Error(codes.Aborted, "as asked")
		}
		message, err := receive(stream)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if rand.IntN(4) == 0 {
			pause()
		}
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
	}
}

func countSoaking(context.Context, []byte) ([]byte, error) {
	return strconv.AppendInt(nil, soaking.Load(), 10), nil
}

// printSoaking asks a server.
func printSoaking(address string, _ []string) error {
	var err error
	if channel, err = dial(address); err != nil {
		return err
	}
	defer channel.Close()
	ctx, end := limited(long)
	defer end()
	answer, err := call(ctx, "Soaking", nil)
	fmt.Println(string(answer))
	return err
}

// tally of all streams, printed as JSON at the end.
type tally struct {
	Whole, Cancelled, Ended, Messages, Failed int64
	Failures                                  []string

	mutex sync.Mutex
}

func (t *tally) add(way, messages int, err error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.Messages += int64(messages)
	if err != nil {
		if t.Failed++; len(t.Failures) < failuresShown {
			t.Failures = append(t.Failures, err.Error())
		}
		return
	}
	*[endings]*int64{&t.Whole, &t.Cancelled, &t.Ended}[way]++
}

// sendPlanned sends the messages of a plan with pauses; a stream that ended meanwhile is the receiver's to judge.
func sendPlanned(stream grpc.ClientStream, made plan, moved func()) {
	for i := range made.messages {
		pause()
		if stream.Context().Err() != nil {
			return
		}
		message := numbered(i)
		if stream.SendMsg(&message) != nil {
			return
		}
		moved()
	}
	if made.way == whole {
		_ = stream.CloseSend()
	}
}

// runPlan runs one stream and returns how many messages came back.
func runPlan(channel *grpc.ClientConn, made plan) (int, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var hangs atomic.Bool
	dog := time.AfterFunc(watchdog, func() { hangs.Store(true); cancel() })
	defer dog.Stop()
	moved := func() { dog.Reset(watchdog) }
	if made.way == endedByServer {
		ctx = metadata.AppendToOutgoingContext(ctx, endAfter, strconv.Itoa(made.after))
	}
	stream, err := channel.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/echo.Echo/Soak")
	if err != nil {
		return 0, fmt.Errorf("no stream: %w", err)
	}
	sent := make(chan struct{})
	go func() { sendPlanned(stream, made, moved); close(sent) }()
	// The sender is done before the next stream begins.
	defer func() { cancel(); <-sent }()
	count := 0
	for {
		if made.way == cancelledByClient && count == made.after {
			pause()
			cancel()
		}
		var message []byte
		if err = stream.RecvMsg(&message); err != nil {
			break
		}
		moved()
		// What was on its way when the stream was cancelled may still come.
		if err := checkNumbered(count, message); err != nil {
			return count, err
		}
		count++
	}
	if hangs.Load() {
		return count, fmt.Errorf("hangs after %d of %d messages, %+v", count, made.messages, made)
	}
	return count, checkEnd(made, count, err)
}

func checkEnd(made plan, count int, err error) error {
	fine := false
	switch made.way {
	case whole:
		fine = err == io.EOF && count == made.messages
	case cancelledByClient:
		fine = status.Code(err) == codes.Canceled
	case endedByServer:
		fine = status.Code(err) == codes.Aborted && count == made.after
	}
	if fine {
		return nil
	}
	return fmt.Errorf("%w after %d messages, %+v", err, count, made)
}

// runBidi keeps STREAMS streams of at most MESSAGES open for SECONDS: arguments of the program.
func runBidi(address string, arguments []string) error {
	streams, err := strconv.Atoi(arguments[0])
	seconds, err2 := strconv.ParseFloat(arguments[1], 64)
	messages, err3 := strconv.Atoi(arguments[2])
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	var total tally
	var all sync.WaitGroup
	for first := 0; first < streams; first += streamsOfChannel {
		channel, err := dial(address)
		if err != nil {
			return err
		}
		defer channel.Close()
		for range min(streamsOfChannel, streams-first) {
			all.Go(func() {
				for time.Now().Before(end) {
					made := makePlan(messages)
					count, err := runPlan(channel, made)
					total.add(made.way, count, err)
				}
			})
		}
	}
	all.Wait()
	return json.NewEncoder(os.Stdout).Encode(&total)
}
