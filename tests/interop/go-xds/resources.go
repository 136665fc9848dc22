package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
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
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// What a command says: short forms of clusters, routes and listeners, and whole resources.
type state struct {
	Version   string                    `json:"version"`
	Node      string                    `json:"node"`
	Clusters  map[string]string         `json:"clusters"`
	Routes    map[string]string         `json:"routes"`
	Listeners map[string]listenerConfig `json:"listeners"`
	PerRoute  map[string]filtersByPath  `json:"per_route"`
	Secrets   []json.RawMessage         `json:"secrets"`
	Resources []json.RawMessage         `json:"resources"`
}

type filtersByPath map[string]map[string]json.RawMessage

type listenerConfig struct {
	Port   uint32 `json:"port"`
	Routes string `json:"routes"`
	// Makes a listener that must be refused.
	Bad     bool              `json:"bad"`
	Filters []json.RawMessage `json:"filters"`
}

type resources map[resource.Type][]types.Resource

// In the order in which they are told: what is called before who calls it.
var inOrder = []resource.Type{resource.ClusterType, resource.EndpointType, resource.ListenerType,
	resource.ExtensionConfigType, resource.ScopedRouteType, resource.RouteType, resource.VirtualHostType,
	resource.SecretType, resource.RuntimeType}

func (r resources) add(kind resource.Type, one types.Resource) { r[kind] = append(r[kind], one) }

func (r resources) byName(kind resource.Type) map[string]types.Resource {
	out := map[string]types.Resource{}
	for _, one := range r[kind] {
		out[cache.GetResourceName(one)] = one
	}
	return out
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

func clusterOf(name, ports string) (*cluster.Cluster, *endpoint.ClusterLoadAssignment) {
	out := &cluster.Cluster{Name: name, ConnectTimeout: durationpb.New(time.Second)}
	eds, isEds := strings.CutPrefix(ports, "eds:")
	if !isEds {
		out.LoadAssignment = assignment(name, ports)
		return out, nil
	}
	out.ClusterDiscoveryType = &cluster.Cluster_Type{Type: cluster.Cluster_EDS}
	out.EdsClusterConfig = &cluster.Cluster_EdsClusterConfig{EdsConfig: ads()}
	return out, assignment(name, eds)
}

func routesOf(name, target string, perRoute filtersByPath) *route.RouteConfiguration {
	host := &route.VirtualHost{Name: "all", Domains: []string{"*"}}
	for _, path := range slices.Sorted(maps.Keys(perRoute)) {
		special := routeTo(path, target)
		special.TypedPerFilterConfig = map[string]*anypb.Any{}
		for filter, text := range perRoute[path] {
			config := &anypb.Any{}
			check(protojson.Unmarshal(text, config))
			special.TypedPerFilterConfig[filter] = config
		}
		host.Routes = append(host.Routes, special)
	}
	host.Routes = append(host.Routes, routeTo("/", target))
	return &route.RouteConfiguration{Name: name, VirtualHosts: []*route.VirtualHost{host}}
}

func listenerOf(name string, l listenerConfig) *listener.Listener {
	manager := &hcm.HttpConnectionManager{StatPrefix: name,
		RouteSpecifier: &hcm.HttpConnectionManager_Rds{Rds: &hcm.Rds{RouteConfigName: l.Routes, ConfigSource: ads()}}}
	for _, text := range l.Filters {
		filter := &hcm.HttpFilter{}
		check(protojson.Unmarshal(text, filter))
		manager.HttpFilters = append(manager.HttpFilters, filter)
	}
	manager.HttpFilters = append(manager.HttpFilters, &hcm.HttpFilter{Name: "envoy.filters.http.router",
		ConfigType: &hcm.HttpFilter_TypedConfig{TypedConfig: packed(&router.Router{})}})
	if l.Bad {
		manager.HttpFilters = nil
	}
	return &listener.Listener{Name: name, Address: address(l.Port),
		FilterChains: []*listener.FilterChain{{Filters: []*listener.Filter{{Name: "hcm",
			ConfigType: &listener.Filter_TypedConfig{TypedConfig: packed(manager)}}}}}}
}

func (r resources) addWhole(text json.RawMessage) error {
	one := &anypb.Any{}
	if err := protojson.Unmarshal(text, one); err != nil {
		return err
	}
	message, err := one.UnmarshalNew()
	if err != nil {
		return err
	}
	if !slices.Contains(inOrder, one.TypeUrl) {
		return fmt.Errorf("%s is no resource", one.TypeUrl)
	}
	r.add(one.TypeUrl, message)
	return nil
}

func resourcesOf(s state) (resources, error) {
	out := resources{}
	for _, kind := range inOrder {
		out[kind] = nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.Clusters)) {
		made, endpoints := clusterOf(name, s.Clusters[name])
		out.add(resource.ClusterType, made)
		if endpoints != nil {
			out.add(resource.EndpointType, endpoints)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Routes)) {
		out.add(resource.RouteType, routesOf(name, s.Routes[name], s.PerRoute[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Listeners)) {
		out.add(resource.ListenerType, listenerOf(name, s.Listeners[name]))
	}
	for _, text := range s.Secrets {
		one := &tls.Secret{}
		check(protojson.Unmarshal(text, one))
		out.add(resource.SecretType, one)
	}
	for _, text := range s.Resources {
		if err := out.addWhole(text); err != nil {
			return nil, err
		}
	}
	return out, nil
}
