package main

import (
	"context"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	cluster "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	extension "github.com/envoyproxy/go-control-plane/envoy/service/extension/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	load "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	runtime "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	secret "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/config"
	"github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type options struct {
	network, address string
	cache            string
	ordered          bool
	nodes            []string
}

// A plane is one life of the server: a restart makes another, which knows nothing of this one's streams.
type plane struct {
	grpc       *grpc.Server
	aggregated store
	typed      store // what streams of one type ask
}

// newPlane listens, but answers nobody before serve().
func newPlane(o options, g *gate, l *loadListener) (*plane, net.Listener) {
	if o.network == "unix" {
		_ = os.Remove(o.address) // left by the life before
	}
	listening, err := net.Listen(o.network, o.address)
	check(err)
	out := &plane{grpc: grpc.NewServer(grpc.StreamInterceptor(g.intercept))}
	out.aggregated, err = newStore(o.cache, o.ordered, o.nodes)
	check(err)
	out.typed = out.aggregated
	if o.cache == "snapshot" {
		// Not held back: each stream may ask for one name only.
		out.typed, err = newStore(o.cache, false, o.nodes)
		check(err)
	}
	out.register(o)
	load.RegisterLoadReportingServiceServer(out.grpc, l)
	return out, listening
}

func (p *plane) register(o options) {
	ctx, calls := context.Background(), newTeller().callbacks()
	var xdsOptions []config.XDSOption
	if o.ordered {
		xdsOptions = append(xdsOptions, sotw.WithOrderedADS())
	}
	discovery.RegisterAggregatedDiscoveryServiceServer(p.grpc,
		server.NewServer(ctx, p.aggregated.cache(), calls, xdsOptions...))
	typed := server.NewServer(ctx, p.typed.cache(), calls)
	cluster.RegisterClusterDiscoveryServiceServer(p.grpc, typed)
	endpoint.RegisterEndpointDiscoveryServiceServer(p.grpc, typed)
	listener.RegisterListenerDiscoveryServiceServer(p.grpc, typed)
	route.RegisterRouteDiscoveryServiceServer(p.grpc, typed)
	route.RegisterScopedRoutesDiscoveryServiceServer(p.grpc, typed)
	route.RegisterVirtualHostDiscoveryServiceServer(p.grpc, typed)
	extension.RegisterExtensionConfigDiscoveryServiceServer(p.grpc, typed)
	secret.RegisterSecretDiscoveryServiceServer(p.grpc, typed)
	runtime.RegisterRuntimeDiscoveryServiceServer(p.grpc, typed)
}

func (p *plane) set(s state) error {
	said, err := resourcesOf(s)
	if err != nil {
		return err
	}
	if p.typed != p.aggregated {
		if err := p.typed.set(s.Node, s.Version, said); err != nil {
			return err
		}
	}
	return p.aggregated.set(s.Node, s.Version, said)
}

// ---- what is told of requests ----

type teller struct {
	mutex    sync.Mutex
	versions map[string]string // of deltas, by nonce, type and stream
}

func newTeller() *teller { return &teller{versions: map[string]string{}} }

func short(typeURL string) string { return typeURL[strings.LastIndex(typeURL, ".")+1:] }

func tell(typeURL, nonce, version string, reason *string) {
	if reason != nil {
		say("nack %s %s", short(typeURL), strings.ReplaceAll(*reason, "\n", " "))
	} else if nonce != "" {
		say("ack %s %s", short(typeURL), version)
	}
}

func key(stream int64, typeURL, nonce string) string {
	return strings.Join([]string{typeURL, nonce, strconv.FormatInt(stream, 10)}, " ")
}

func (t *teller) callbacks() server.CallbackFuncs {
	return server.CallbackFuncs{
		StreamRequestFunc: func(_ int64, r *discovery.DiscoveryRequest) error {
			var reason *string
			if r.ErrorDetail != nil {
				reason = &r.ErrorDetail.Message
			}
			tell(r.TypeUrl, r.ResponseNonce, r.VersionInfo, reason)
			return nil
		},
		StreamDeltaRequestFunc: func(stream int64, r *discovery.DeltaDiscoveryRequest) error {
			var reason *string
			if r.ErrorDetail != nil {
				reason = &r.ErrorDetail.Message
			}
			t.mutex.Lock()
			version := t.versions[key(stream, r.TypeUrl, r.ResponseNonce)]
			delete(t.versions, key(stream, r.TypeUrl, r.ResponseNonce))
			t.mutex.Unlock()
			tell(r.TypeUrl, r.ResponseNonce, version, reason)
			return nil
		},
		StreamDeltaResponseFunc: func(stream int64, _ *discovery.DeltaDiscoveryRequest, r *discovery.DeltaDiscoveryResponse) {
			t.mutex.Lock()
			t.versions[key(stream, r.TypeUrl, r.Nonce)] = r.SystemVersionInfo
			t.mutex.Unlock()
		},
		StreamOpenFunc:      func(_ context.Context, _ int64, kind string) error { say("open sotw %s", short(kind)); return nil },
		DeltaStreamOpenFunc: func(_ context.Context, _ int64, kind string) error { say("open delta %s", short(kind)); return nil },
	}
}

// ---- misbehaviour ----

// A gate stands in all streams: they wait while it is silent, and end when it is told to end them.
type gate struct {
	mutex  sync.Mutex
	speaks chan struct{} // closed: nothing waits
	ends   chan struct{} // closed: the streams of now end
}

func newGate() *gate {
	out := &gate{speaks: make(chan struct{}), ends: make(chan struct{})}
	close(out.speaks)
	return out
}

func (g *gate) silence() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	select {
	case <-g.speaks:
		g.speaks = make(chan struct{})
	default:
	}
}

func (g *gate) speak() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	select {
	case <-g.speaks:
	default:
		close(g.speaks)
	}
}

func (g *gate) endStreams() {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	close(g.ends)
	g.ends = make(chan struct{})
}

func (g *gate) now() (speaks, ends chan struct{}) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.speaks, g.ends
}

type gatedStream struct {
	grpc.ServerStream
	gate *gate
}

func (s gatedStream) SendMsg(message any) error {
	speaks, _ := s.gate.now()
	select {
	case <-speaks:
		return s.ServerStream.SendMsg(message)
	case <-s.Context().Done():
		return s.Context().Err()
	}
}

func (g *gate) intercept(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo,
	handler grpc.StreamHandler) error {
	_, ends := g.now()
	done := make(chan error, 1)
	go func() { done <- handler(service, gatedStream{stream, g}) }()
	select {
	case err := <-done:
		return err
	case <-ends:
		return status.Error(codes.Unavailable, "the test ends all streams")
	}
}
