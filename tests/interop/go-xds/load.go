package main

import (
	"context"
	"encoding/json"
	"sync"

	load "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

// A loadListener asks every stream for load and tells what is reported.  It outlives servers.
type loadListener struct {
	mutex   sync.Mutex
	wanted  *load.LoadStatsResponse // nil: nothing yet
	changed chan struct{}           // closed when it does
}

func newLoadListener() *loadListener { return &loadListener{changed: make(chan struct{})} }

func (l *loadListener) ask(text json.RawMessage) error {
	wanted := &load.LoadStatsResponse{}
	if err := protojson.Unmarshal(text, wanted); err != nil {
		return err
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.wanted = wanted
	close(l.changed)
	l.changed = make(chan struct{})
	return nil
}

func (l *loadListener) now() (*load.LoadStatsResponse, chan struct{}) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.wanted, l.changed
}

func (l *loadListener) StreamLoadStats(stream load.LoadReportingService_StreamLoadStatsServer) error {
	context, cancel := context.WithCancel(stream.Context())
	asking := sync.WaitGroup{}
	defer asking.Wait() // nothing is sent behind the end of a stream
	defer cancel()
	asking.Go(func() { l.askFor(context, stream) })
	report, err := stream.Recv()
	node := report.GetNode() // with the first report only
	for ; err == nil; report, err = stream.Recv() {
		text, wrong := protojson.Marshal(report)
		check(wrong)
		say("load %s %s", node.GetId(), text)
	}
	return err
}

func (l *loadListener) askFor(context context.Context, stream load.LoadReportingService_StreamLoadStatsServer) {
	for {
		wanted, changed := l.now()
		if wanted != nil && stream.Send(wanted) != nil {
			return
		}
		select {
		case <-changed:
		case <-context.Done():
			return
		}
	}
}
