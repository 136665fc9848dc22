// The control plane of xds_scale.py, and its probe.
//
//	xds-server serve ORIGIN_PORT LISTENER_PORT CLUSTERS ENDPOINTS TABLES ROUTES LISTENERS CHAINS [linear]
//	xds-server probe ADDRESS SECONDS
//
// serve: go-control-plane, state of the world and delta.  Clusters of type EDS, each with so many
// endpoints; route tables, each with so many virtual hosts of one route; listeners that do not bind,
// and one that does, with so many filter chains, of which one serves plain HTTP from table 0.
// Cluster 0 is the origin.  Prints "listens ADDRESS", "first NANOSECONDS" when a proxy gets its first
// response, "ack TYPE" and "nack TYPE MESSAGE".  A line on stdin changes something: "cluster I",
// "routes I", "endpoints I", "listener I", "all", "add" (one cluster more); "done WHAT" answers.
//
// linear: endpoints are in a linear cache, which sends those that changed alone, by both protocols,
// and costs the server little.  "rate N SECONDS" then changes so many sets of endpoints a second,
// one at a time, and "sets N VARIANT" the first N at once.
//
// probe: a few connections, each with a request a millisecond; prints the latencies as JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	router "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcp "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var output sync.Mutex

func say(format string, values ...any) {
	output.Lock()
	defer output.Unlock()
	fmt.Printf(format+"\n", values...)
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	check(err)
	return value
}

func packed(message proto.Message) *anypb.Any {
	out, err := anypb.New(message)
	check(err)
	return out
}

func address(host string, port int) *core.Address {
	return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
		Address: host, PortSpecifier: &core.SocketAddress_PortValue{PortValue: uint32(port)}}}}
}

func ads() *core.ConfigSource {
	return &core.ConfigSource{ResourceApiVersion: core.ApiVersion_V3,
		ConfigSourceSpecifier: &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}}}
}

// As long as Istio's names are.
func clusterName(i int) string {
	return fmt.Sprintf("outbound|8080||service-%d.namespace.svc.cluster.local", i)
}

type world struct {
	origin, port, clusters, endpoints, tables, routes, listeners, chains int
	byType                                                               map[resource.Type][]types.Resource
	version                                                              int
	variant                                                              map[string]int
}

func (w *world) clusterOf(i, variant int) types.Resource {
	return &cluster.Cluster{Name: clusterName(i), ConnectTimeout: durationpb.New(time.Duration(1+variant) * time.Second),
		ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_EDS},
		EdsClusterConfig:     &cluster.Cluster_EdsClusterConfig{EdsConfig: ads()}}
}

// Another variant has another last endpoint; of the origin, another weight.
func (w *world) endpointsOf(i, variant int) types.Resource {
	group := &endpoint.LocalityLbEndpoints{Locality: &core.Locality{Region: "region", Zone: "zone"}}
	add := func(at *core.Address, weight int) {
		group.LbEndpoints = append(group.LbEndpoints, &endpoint.LbEndpoint{
			LoadBalancingWeight: wrapperspb.UInt32(uint32(weight)),
			HostIdentifier:      &endpoint.LbEndpoint_Endpoint{Endpoint: &endpoint.Endpoint{Address: at}}})
	}
	if i == 0 {
		add(address("127.0.0.1", w.origin), 1+variant)
	}
	for e := 0; i != 0 && e < w.endpoints; e++ {
		port := 8080
		if e == w.endpoints-1 {
			port += variant % 50000
		}
		add(address(fmt.Sprintf("10.%d.%d.%d", i/250%250, i%250, e), port), 1)
	}
	return &endpoint.ClusterLoadAssignment{ClusterName: clusterName(i), Endpoints: []*endpoint.LocalityLbEndpoints{group}}
}

func routeTo(target string, variant int) *route.Route {
	return &route.Route{Match: &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{Prefix: "/"}},
		Action: &route.Route_Route{Route: &route.RouteAction{Timeout: durationpb.New(time.Duration(10+variant) * time.Second),
			ClusterSpecifier: &route.RouteAction_Cluster{Cluster: target}}}}
}

// Of connections that none comes by: behind the ports that the programs of a run take.
const firstChainPort = 50000

func tableName(i int) string { return fmt.Sprintf("table-%d", i) }

func (w *world) tableOf(i, variant int) types.Resource {
	out := &route.RouteConfiguration{Name: tableName(i)}
	for r := 0; r < w.routes; r++ {
		target := (i*w.routes + r) % w.clusters
		host := fmt.Sprintf("service-%d.namespace.svc.cluster.local", target)
		out.VirtualHosts = append(out.VirtualHosts, &route.VirtualHost{Name: fmt.Sprintf("host-%d", r),
			Domains: []string{host, host + ":8080"}, Routes: []*route.Route{routeTo(clusterName(target), variant)}})
	}
	out.VirtualHosts = append(out.VirtualHosts, &route.VirtualHost{Name: "rest", Domains: []string{"*"},
		Routes: []*route.Route{routeTo(clusterName(0), variant)}})
	return out
}

func httpChain(prefix, table string) *listener.FilterChain {
	manager := &hcm.HttpConnectionManager{StatPrefix: prefix,
		RouteSpecifier: &hcm.HttpConnectionManager_Rds{Rds: &hcm.Rds{RouteConfigName: table, ConfigSource: ads()}},
		HttpFilters: []*hcm.HttpFilter{{Name: "envoy.filters.http.router",
			ConfigType: &hcm.HttpFilter_TypedConfig{TypedConfig: packed(&router.Router{})}}}}
	return &listener.FilterChain{Name: prefix, Filters: []*listener.Filter{{Name: "envoy.filters.network.http_connection_manager",
		ConfigType: &listener.Filter_TypedConfig{TypedConfig: packed(manager)}}}}
}

func tcpChain(name string, target int) *listener.FilterChain {
	proxy := &tcp.TcpProxy{StatPrefix: name, ClusterSpecifier: &tcp.TcpProxy_Cluster{Cluster: clusterName(target)}}
	return &listener.FilterChain{Name: name, Filters: []*listener.Filter{{Name: "envoy.filters.network.tcp_proxy",
		ConfigType: &listener.Filter_TypedConfig{TypedConfig: packed(proxy)}}}}
}

// 0 is the one that binds.
func (w *world) listenerOf(i, variant int) types.Resource {
	if i != 0 {
		name := fmt.Sprintf("listener-%d", i)
		chain := tcpChain(fmt.Sprintf("%s-%d", name, variant), i%w.clusters)
		return &listener.Listener{Name: name, Address: address(fmt.Sprintf("10.255.%d.%d", i/250, i%250), 8080),
			BindToPort: wrapperspb.Bool(false), FilterChains: []*listener.FilterChain{chain}}
	}
	out := &listener.Listener{Name: "main", Address: address("127.0.0.1", w.port)}
	out.DefaultFilterChain = httpChain("main", tableName(0))
	for t := 1; t < w.tables; t++ {
		chain := httpChain(fmt.Sprintf("table-%d", t), tableName(t))
		chain.FilterChainMatch = &listener.FilterChainMatch{DestinationPort: wrapperspb.UInt32(uint32(1 + t))}
		out.FilterChains = append(out.FilterChains, chain)
	}
	for c := 0; c < w.chains; c++ {
		target := c
		if c == 0 {
			target += variant
		}
		chain := tcpChain(fmt.Sprintf("chain-%d", c), target%w.clusters)
		chain.FilterChainMatch = &listener.FilterChainMatch{DestinationPort: wrapperspb.UInt32(uint32(firstChainPort + c))}
		out.FilterChains = append(out.FilterChains, chain)
	}
	return out
}

func (w *world) make(kind resource.Type, i, variant int) types.Resource {
	switch kind {
	case resource.ClusterType:
		return w.clusterOf(i, variant)
	case resource.EndpointType:
		return w.endpointsOf(i, variant)
	case resource.RouteType:
		return w.tableOf(i, variant)
	default:
		return w.listenerOf(i, variant)
	}
}

func (w *world) makeAll() {
	w.byType = map[resource.Type][]types.Resource{}
	for kind, count := range map[resource.Type]int{resource.ClusterType: w.clusters, resource.EndpointType: w.clusters,
		resource.RouteType: w.tables, resource.ListenerType: 1 + w.listeners} {
		for i := 0; i < count; i++ {
			w.byType[kind] = append(w.byType[kind], w.make(kind, i, w.variant["all"]))
		}
	}
}

func (w *world) change(line string) {
	words := strings.Fields(line)
	w.variant[words[0]]++
	if words[0] == "all" {
		w.makeAll()
		return
	}
	if words[0] == "add" {
		for _, kind := range []resource.Type{resource.ClusterType, resource.EndpointType} {
			w.byType[kind] = append(w.byType[kind], w.make(kind, len(w.byType[kind]), 0))
		}
		return
	}
	kind := map[string]resource.Type{"cluster": resource.ClusterType, "routes": resource.RouteType,
		"endpoints": resource.EndpointType, "listener": resource.ListenerType}[words[0]]
	i := number(words[1])
	w.byType[kind][i] = w.make(kind, i, w.variant[words[0]])
}

func (w *world) snapshot() *cache.Snapshot {
	w.version++
	out, err := cache.NewSnapshot(strconv.Itoa(w.version), w.byType)
	check(err)
	check(out.ConstructVersionMap())
	return out
}

// The linear cache has the endpoints; a change says them to it.
func (w *world) endpointCache() *cache.LinearCache {
	all := map[string]types.Resource{}
	for _, one := range w.byType[resource.EndpointType] {
		all[cache.GetResourceName(one)] = one
	}
	w.byType[resource.EndpointType] = nil
	return cache.NewLinearCache(resource.EndpointType, cache.WithInitialResources(all))
}

func (w *world) run(endpoints *cache.LinearCache, perSecond, seconds int) {
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for n := 1; n <= perSecond*seconds; n++ {
		<-tick.C
		i := n % w.clusters
		check(endpoints.UpdateResource(clusterName(i), w.endpointsOf(i, n)))
	}
}

func (w *world) changeAtOnce(endpoints *cache.LinearCache, count, variant int) {
	changed := map[string]types.Resource{}
	for i := 0; i < count; i++ {
		changed[clusterName(i)] = w.endpointsOf(i, variant)
	}
	check(endpoints.UpdateResources(changed, nil))
}

func mux(snapshots, endpoints cache.Cache) cache.Cache {
	classify := func(url string) string {
		if url == resource.EndpointType {
			return "endpoints"
		}
		return "rest"
	}
	return &cache.MuxCache{
		Classify:      func(r *cache.Request) string { return classify(r.GetTypeUrl()) },
		ClassifyDelta: func(r *cache.DeltaRequest) string { return classify(r.GetTypeUrl()) },
		Caches:        map[string]cache.Cache{"endpoints": endpoints, "rest": snapshots}}
}

func shortName(url string) string { return url[strings.LastIndex(url, ".")+1:] }

func serve(args []string) {
	w := &world{variant: map[string]int{}}
	for i, to := range []*int{&w.origin, &w.port, &w.clusters, &w.endpoints, &w.tables, &w.routes, &w.listeners, &w.chains} {
		*to = number(args[i])
	}
	w.makeAll()
	ctx := context.Background()
	snapshots := cache.NewSnapshotCache(true, cache.IDHash{}, nil)
	var served cache.Cache = snapshots
	var endpoints *cache.LinearCache
	if len(args) == 9 {
		endpoints = w.endpointCache()
		served = mux(snapshots, endpoints)
	}
	check(snapshots.SetSnapshot(ctx, "test", w.snapshot()))
	var first sync.Once
	begin := func() { first.Do(func() { say("first %d", time.Now().UnixNano()) }) }
	told := func(url, nonce, wrong string) {
		if wrong != "" {
			say("nack %s %s", shortName(url), strings.ReplaceAll(wrong, "\n", " "))
		} else if nonce != "" {
			say("ack %s", shortName(url))
		}
	}
	callbacks := server.CallbackFuncs{
		StreamResponseFunc: func(context.Context, int64, *discovery.DiscoveryRequest, *discovery.DiscoveryResponse) { begin() },
		StreamDeltaResponseFunc: func(int64, *discovery.DeltaDiscoveryRequest, *discovery.DeltaDiscoveryResponse) {
			begin()
		},
		StreamRequestFunc: func(_ int64, r *discovery.DiscoveryRequest) error {
			told(r.TypeUrl, r.ResponseNonce, r.GetErrorDetail().GetMessage())
			return nil
		},
		StreamDeltaRequestFunc: func(_ int64, r *discovery.DeltaDiscoveryRequest) error {
			told(r.TypeUrl, r.ResponseNonce, r.GetErrorDetail().GetMessage())
			return nil
		}}
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	grpcServer := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	discovery.RegisterAggregatedDiscoveryServiceServer(grpcServer, server.NewServer(ctx, served, callbacks))
	go func() { check(grpcServer.Serve(listening)) }()
	say("listens %s", listening.Addr())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if words := strings.Fields(lines.Text()); words[0] == "rate" {
			w.run(endpoints, number(words[1]), number(words[2]))
		} else if words[0] == "sets" {
			w.changeAtOnce(endpoints, number(words[1]), number(words[2]))
		} else {
			w.change(lines.Text())
			check(snapshots.SetSnapshot(ctx, "test", w.snapshot()))
		}
		say("done %s", lines.Text())
	}
}

const probes = 8

func probe(args []string) {
	end := time.Now().Add(time.Duration(number(args[1])) * time.Second)
	var wait sync.WaitGroup
	var lock sync.Mutex
	var all []time.Duration
	failed := 0
	for p := 0; p < probes; p++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			connection, err := net.Dial("tcp", args[0])
			check(err)
			// A response may come in pieces.
			reader := bufio.NewReader(connection)
			var own []time.Duration
			bad := 0
			for time.Now().Before(end) {
				begin := time.Now()
				_, err = connection.Write([]byte("GET / HTTP/1.1\r\nHost: any\r\n\r\n"))
				check(err)
				response, err := http.ReadResponse(reader, nil)
				check(err)
				text, err := io.ReadAll(response.Body)
				check(err)
				own = append(own, time.Since(begin))
				if response.StatusCode != http.StatusOK {
					fmt.Fprintf(os.Stderr, "%s: %s\n", response.Status, text)
					bad++
				}
				time.Sleep(time.Millisecond)
			}
			lock.Lock()
			defer lock.Unlock()
			all = append(all, own...)
			failed += bad
		}()
	}
	wait.Wait()
	sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
	at := func(share float64) float64 { return float64(all[int(share*float64(len(all)-1))].Microseconds()) / 1000 }
	text, err := json.Marshal(map[string]any{"requests": len(all), "failed": failed, "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1)})
	check(err)
	fmt.Println(string(text))
}

func main() {
	if (len(os.Args) == 10 || len(os.Args) == 11) && os.Args[1] == "serve" {
		serve(os.Args[2:])
	} else if len(os.Args) == 4 && os.Args[1] == "probe" {
		probe(os.Args[2:])
	} else {
		fmt.Fprintln(os.Stderr, "see the comment at the top")
		os.Exit(2)
	}
}
