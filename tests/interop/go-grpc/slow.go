package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc"
)

const (
	slowMessage = 10_000 // bytes
	slowReads   = 10     // messages that a slow stream reads before it stalls
	slowCalls   = 300
	slowPause   = 2 * time.Millisecond
)

// slowStream begins a server stream of `messages` messages and reads the first ones.
func slowStream(messages int) (grpc.ClientStream, error) {
	s, err := stream("ServerStream")
	if err == nil {
		err = <-send(s, 1, always(fmt.Appendf(nil, "%d,%d", messages, slowMessage)))
	}
	if err == nil {
		err = readSlow(s, 0, slowReads)
	}
	return s, err
}

// readSlow reads messages, which are as the server numbers them.
func readSlow(s grpc.ClientStream, from, to int) error {
	for i := from; i < to; i++ {
		var part []byte
		if err := s.RecvMsg(&part); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		if len(part) != slowMessage || part[0] != byte(i) {
			return fmt.Errorf("message %d is another", i)
		}
	}
	return nil
}

// timeCalls makes unary calls, between which `between` happens, and returns how long each took, sorted.
func timeCalls(between func() error) ([]time.Duration, error) {
	ctx, end := limited(long)
	defer end()
	var took []time.Duration
	for i := range slowCalls {
		began := time.Now()
		if _, err := call(ctx, "Unary", number(i)); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
		if err := between(); err != nil {
			return nil, err
		}
		time.Sleep(slowPause)
	}
	slices.Sort(took)
	return took, nil
}

// runSlow holds STREAMS server streams that together have MEGABYTES, and makes unary calls on the same connection: while
// none of them is read, then while each is read slowly.  It prints the times of the calls, and reads all to the end, or
// leaves after the first part ("leave").
func runSlow(address string, arguments []string) error {
	count, err := strconv.Atoi(arguments[0])
	megabytes, err2 := strconv.Atoi(arguments[1])
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	if channel, err = dial(address); err != nil {
		return err
	}
	defer channel.Close()
	messages := megabytes * 1_000_000 / slowMessage / count
	var slow []grpc.ClientStream
	for range count {
		s, err := slowStream(messages)
		if err != nil {
			return err
		}
		slow = append(slow, s)
	}
	stalled, err := timeCalls(func() error { return nil })
	if err != nil {
		return fmt.Errorf("next to stalled streams: %w", err)
	}
	if len(arguments) > 2 {
		return json.NewEncoder(os.Stdout).Encode(percentiles("stalled", stalled))
	}
	at := slowReads
	reading, err := timeCalls(func() error {
		at++
		for _, s := range slow {
			if err := readSlow(s, at-1, at); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("next to slow streams: %w", err)
	}
	for _, s := range slow {
		if err := readSlow(s, at, messages); err != nil {
			return err
		}
	}
	found := percentiles("stalled", stalled)
	maps.Copy(found, percentiles("slow", reading))
	return json.NewEncoder(os.Stdout).Encode(found)
}

// percentiles are in milliseconds.
func percentiles(name string, sorted []time.Duration) map[string]float64 {
	at := func(percent int) float64 { return sorted[(len(sorted)-1)*percent/100].Seconds() * 1000 }
	return map[string]float64{name + " p50": at(50), name + " p99": at(99)}
}
