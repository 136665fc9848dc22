// A control plane for xds_test.py: go-control-plane's server with its snapshot cache, ordered ADS.
//
// Arguments: nothing, or network and address to listen on ("unix /path"); told by the line "listens ADDRESS".
// Commands on stdin, one JSON object a line: {"version", "clusters": {name: port | "eds:port,port"},
// "routes": {route name: cluster}, "listeners": {name: {"port", "routes", "filters": [HttpFilter]}},
// "per_route": {route name: {path prefix: {filter: typed_per_filter_config}}},
// "secrets": [Secret]}, messages in protobuf's JSON.  It becomes the snapshot of ADS, and the secrets
// that of StreamSecrets; the line "ok <version>" answers.  Each NACK is a line
// "nack <type> <message>", each ACK "ack <type> <version>".
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/buffer/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	router "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secret "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

const node = "test"

type state struct {
	Version   string                    `json:"version"`
	Clusters  map[string]string         `json:"clusters"`
	Routes    map[string]string         `json:"routes"`
	Listeners map[string]listenerConfig `json:"listeners"`
	PerRoute  map[string]filtersByPath  `json:"per_route"`
	Secrets   []json.RawMessage         `json:"secrets"`
}

type filtersByPath map[string]map[string]json.RawMessage

type listenerConfig struct {
	Port   uint32 `json:"port"`
	Routes string `json:"routes"`
	// Makes a listener that must be refused.
	Bad     bool              `json:"bad"`
	Filters []json.RawMessage `json:"filters"`
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

func packed(message proto.Message) *anypb.Any {
	out, err := anypb.New(message)
	check(err)
	return out
}

func address(port uint32) *core.Address {
	return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
		Address: "127.0.0.1", PortSpecifier: &core.SocketAddress_PortValue{PortValue: port}}}}
}

func ads() *core.ConfigSource {
	return &core.ConfigSource{ResourceApiVersion: core.ApiVersion_V3,
		ConfigSourceSpecifier: &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}}}
}

func assignment(name, ports string) *endpoint.ClusterLoadAssignment {
	group := &endpoint.LocalityLbEndpoints{}
	for _, text := range strings.Split(ports, ",") {
		port, err := strconv.ParseUint(text, 10, 16)
		check(err)
		group.LbEndpoints = append(group.LbEndpoints, &endpoint.LbEndpoint{
			HostIdentifier: &endpoint.LbEndpoint_Endpoint{Endpoint: &endpoint.Endpoint{Address: address(uint32(port))}}})
	}
	return &endpoint.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpoint.LocalityLbEndpoints{group}}
}

func routeTo(prefix, target string) *route.Route {
	return &route.Route{
		Match:  &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{Prefix: prefix}},
		Action: &route.Route_Route{Route: &route.RouteAction{ClusterSpecifier: &route.RouteAction_Cluster{Cluster: target}}}}
}

func secretsOf(s state) []types.Resource {
	var out []types.Resource
	for _, text := range s.Secrets {
		one := &tls.Secret{}
		check(protojson.Unmarshal(text, one))
		out = append(out, one)
	}
	return out
}

func secretSnapshotOf(s state) *cache.Snapshot {
	out, err := cache.NewSnapshot(s.Version, map[resource.Type][]types.Resource{resource.SecretType: secretsOf(s)})
	check(err)
	return out
}

func snapshotOf(s state) *cache.Snapshot {
	var clusters, endpoints, routes, listeners []types.Resource
	for name, ports := range s.Clusters {
		c := &cluster.Cluster{Name: name, ConnectTimeout: durationpb.New(time.Second)}
		if eds, ok := strings.CutPrefix(ports, "eds:"); ok {
			c.ClusterDiscoveryType = &cluster.Cluster_Type{Type: cluster.Cluster_EDS}
			c.EdsClusterConfig = &cluster.Cluster_EdsClusterConfig{EdsConfig: ads()}
			endpoints = append(endpoints, assignment(name, eds))
		} else {
			c.LoadAssignment = assignment(name, ports)
		}
		clusters = append(clusters, c)
	}
	for name, target := range s.Routes {
		host := &route.VirtualHost{Name: "all", Domains: []string{"*"}}
		for path, filters := range s.PerRoute[name] {
			special := routeTo(path, target)
			special.TypedPerFilterConfig = map[string]*anypb.Any{}
			for filter, text := range filters {
				config := &anypb.Any{}
				check(protojson.Unmarshal(text, config))
				special.TypedPerFilterConfig[filter] = config
			}
			host.Routes = append(host.Routes, special)
		}
		host.Routes = append(host.Routes, routeTo("/", target))
		routes = append(routes, &route.RouteConfiguration{Name: name, VirtualHosts: []*route.VirtualHost{host}})
	}
	for name, l := range s.Listeners {
		manager := &hcm.HttpConnectionManager{StatPrefix: name,
			RouteSpecifier: &hcm.HttpConnectionManager_Rds{Rds: &hcm.Rds{RouteConfigName: l.Routes, ConfigSource: ads()}},
			HttpFilters: []*hcm.HttpFilter{{Name: "envoy.filters.http.router",
				ConfigType: &hcm.HttpFilter_TypedConfig{TypedConfig: packed(&router.Router{})}}}}
		for i := len(l.Filters) - 1; i >= 0; i-- {
			filter := &hcm.HttpFilter{}
			check(protojson.Unmarshal(l.Filters[i], filter))
			manager.HttpFilters = append([]*hcm.HttpFilter{filter}, manager.HttpFilters...)
		}
		if l.Bad {
			manager.HttpFilters = nil
		}
		listeners = append(listeners, &listener.Listener{Name: name, Address: address(l.Port),
			FilterChains: []*listener.FilterChain{{Filters: []*listener.Filter{{Name: "hcm",
				ConfigType: &listener.Filter_TypedConfig{TypedConfig: packed(manager)}}}}}})
	}
	out, err := cache.NewSnapshot(s.Version, map[resource.Type][]types.Resource{
		resource.ClusterType: clusters, resource.EndpointType: endpoints,
		resource.RouteType: routes, resource.ListenerType: listeners, resource.SecretType: secretsOf(s)})
	check(err)
	return out
}

func main() {
	ctx := context.Background()
	snapshots := cache.NewSnapshotCache(true, cache.IDHash{}, nil)
	callbacks := server.CallbackFuncs{
		StreamRequestFunc: func(_ int64, r *discovery.DiscoveryRequest) error {
			kind := r.TypeUrl[strings.LastIndex(r.TypeUrl, ".")+1:]
			if r.ErrorDetail != nil {
				say("nack %s %s", kind, strings.ReplaceAll(r.ErrorDetail.Message, "\n", " "))
			} else if r.ResponseNonce != "" {
				say("ack %s %s", kind, r.VersionInfo)
			}
			return nil
		}}
	network, at := "tcp", "127.0.0.1:0"
	if len(os.Args) > 1 {
		network, at = os.Args[1], os.Args[2]
	}
	listening, err := net.Listen(network, at)
	check(err)
	grpcServer := grpc.NewServer()
	xds := server.NewServer(ctx, snapshots, callbacks, sotw.WithOrderedADS())
	discovery.RegisterAggregatedDiscoveryServiceServer(grpcServer, xds)
	// Not ordered by ADS: each stream asks for one of the secrets.
	secrets := cache.NewSnapshotCache(false, cache.IDHash{}, nil)
	secret.RegisterSecretDiscoveryServiceServer(grpcServer, server.NewServer(ctx, secrets, callbacks))
	go func() { check(grpcServer.Serve(listening)) }()
	say("listens %s", listening.Addr())
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var s state
		check(json.Unmarshal(lines.Bytes(), &s))
		check(snapshots.SetSnapshot(ctx, node, snapshotOf(s)))
		check(secrets.SetSnapshot(ctx, node, secretSnapshotOf(s)))
		say("ok %s", s.Version)
	}
}
