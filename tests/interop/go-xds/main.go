// A control plane for tests (support/control_plane.py): go-control-plane's server, state of the world and delta, on
// aggregated streams and on those of one type.
//
//	go-xds [-cache snapshot|linear|mux] [-ordered=false] [-nodes a,b] [NETWORK ADDRESS]
//
// The address ("unix /path"; a free port without) is told by the line "listens ADDRESS".  Commands on stdin, one JSON
// object a line; what they lack is empty:
//
//	{"version", "node", "resources": [a resource with "@type", in protobuf's JSON],
//	 "clusters": {name: port | "eds:port,port"}, "routes": {route name: cluster},
//	 "listeners": {name: {"port", "routes", "filters": [HttpFilter]}},
//	 "per_route": {route name: {path prefix: {filter: typed_per_filter_config}}}, "secrets": [Secret]}
//	    all that there is from now on; answered by "ok VERSION", or "bad VERSION REASON"
//	{"do": "restart"}             another server with empty caches, which then has what was said last
//	{"do": "silence" | "speak"}   nothing is sent meanwhile
//	{"do": "end"}                 ends all streams
//	{"do": "load", "load": {a LoadStatsResponse}}   is what all streams of load reports are asked from now on
//	    answered by "ok DO"
//
// Each NACK is a line "nack TYPE MESSAGE", each ACK "ack TYPE VERSION", each new stream "open sotw|delta TYPE", each
// report "load NODE LOAD_STATS_REQUEST".
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
)

type command struct {
	state
	Do   string          `json:"do"`
	Load json.RawMessage `json:"load"`
}

var output sync.Mutex

func say(format string, values ...any) {
	output.Lock()
	defer output.Unlock()
	fmt.Printf(format+"\n", values...)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func parse() options {
	out := options{network: "tcp", address: "127.0.0.1:0"}
	var nodes string
	flag.StringVar(&out.cache, "cache", "snapshot", "which of go-control-plane's caches")
	flag.BoolVar(&out.ordered, "ordered", true, "whether types come in order on aggregated streams")
	flag.StringVar(&nodes, "nodes", "test", "ids of nodes; the mux cache knows no others")
	flag.Parse()
	out.nodes = strings.Split(nodes, ",")
	if flag.NArg() == 2 {
		out.network, out.address = flag.Arg(0), flag.Arg(1)
	}
	return out
}

// A running is what commands act on.
type running struct {
	options options
	gate    *gate
	load    *loadListener
	plane   *plane
	said    map[string]state // by node
}

func (r *running) start() {
	made, listening := newPlane(r.options, r.gate, r.load)
	r.plane = made
	r.options.address = listening.Addr().String() // the same after a restart
	for _, one := range r.said {
		check(r.plane.set(one))
	}
	go func() { check(made.grpc.Serve(listening)) }()
}

func (r *running) do(c command) {
	switch c.Do {
	case "":
		if c.Node == "" {
			c.Node = r.options.nodes[0]
		}
		if err := r.plane.set(c.state); err != nil {
			say("bad %s %s", c.Version, strings.ReplaceAll(err.Error(), "\n", " "))
			return
		}
		r.said[c.Node] = c.state
		say("ok %s", c.Version)
		return
	case "restart":
		r.plane.grpc.Stop()
		r.start()
	case "silence":
		r.gate.silence()
	case "speak":
		r.gate.speak()
	case "end":
		r.gate.endStreams()
	case "load":
		check(r.load.ask(c.Load))
	default:
		check(fmt.Errorf("no command is called %q", c.Do))
	}
	say("ok %s", c.Do)
}

func main() {
	r := running{options: parse(), gate: newGate(), load: newLoadListener(), said: map[string]state{}}
	r.start()
	say("listens %s", r.options.address)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<26)
	for lines.Scan() {
		var c command
		check(json.Unmarshal(lines.Bytes(), &c))
		r.do(c)
	}
}
