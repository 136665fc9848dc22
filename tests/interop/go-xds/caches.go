package main

import (
	"context"
	"fmt"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
)

// A store keeps what is said in one of go-control-plane's caches.
type store interface {
	cache() cache.Cache
	set(node, version string, said resources) error
}

// newStore makes one of the kind "snapshot", "linear" or "mux".  isAds: the snapshot cache waits until all names of a
// snapshot are asked for.
func newStore(kind string, isAds bool, nodes []string) (store, error) {
	switch kind {
	case "snapshot":
		return snapshots{cache.NewSnapshotCache(isAds, cache.IDHash{}, nil)}, nil
	case "linear":
		return newLinears(inOrder), nil
	case "mux":
		return newMux(isAds, nodes), nil
	}
	return nil, fmt.Errorf("no cache is called %q: snapshot, linear or mux", kind)
}

// ---- a snapshot for each node ----

type snapshots struct{ all cache.SnapshotCache }

func (s snapshots) cache() cache.Cache { return s.all }

func (s snapshots) set(node, version string, said resources) error {
	snapshot, err := cache.NewSnapshot(version, said)
	if err != nil {
		return err
	}
	return s.all.SetSnapshot(context.Background(), node, snapshot)
}

// ---- a linear cache for each type; the same for all nodes ----

type linears struct {
	byType map[resource.Type]*cache.LinearCache
	mux    *cache.MuxCache
}

func newLinears(kinds []resource.Type) *linears {
	out := &linears{map[resource.Type]*cache.LinearCache{}, &cache.MuxCache{
		Classify:      func(r *cache.Request) string { return r.GetTypeUrl() },
		ClassifyDelta: func(r *cache.DeltaRequest) string { return r.GetTypeUrl() },
		Caches:        map[string]cache.Cache{}}}
	for _, kind := range kinds {
		out.byType[kind] = cache.NewLinearCache(kind)
		out.mux.Caches[kind] = out.byType[kind]
	}
	return out
}

func (l *linears) cache() cache.Cache { return l.mux }

// Only what differs is updated, type after type.
func (l *linears) set(_, _ string, said resources) error {
	for _, kind := range inOrder {
		one, ok := l.byType[kind]
		if !ok {
			continue
		}
		wanted, changed, gone := said.byName(kind), map[string]types.Resource{}, []string{}
		had := one.GetResources()
		for name, value := range wanted {
			if old, ok := had[name]; !ok || !proto.Equal(old, value) {
				changed[name] = value
			}
		}
		for name := range had {
			if _, ok := wanted[name]; !ok {
				gone = append(gone, name)
			}
		}
		if len(changed)+len(gone) == 0 {
			continue
		}
		if err := one.UpdateResources(changed, gone); err != nil {
			return err
		}
	}
	return nil
}

// ---- both: endpoints of each node in a linear cache of its own, everything else in snapshots ----

type mux struct {
	rest      snapshots
	endpoints map[string]*linears
	all       *cache.MuxCache
}

const rest = "rest"

func newMux(isAds bool, nodes []string) *mux {
	out := &mux{snapshots{cache.NewSnapshotCache(isAds, cache.IDHash{}, nil)}, map[string]*linears{}, nil}
	classify := func(kind string, node *core.Node) string {
		if kind == resource.EndpointType {
			return "endpoints of " + node.GetId()
		}
		return rest
	}
	out.all = &cache.MuxCache{
		Classify:      func(r *cache.Request) string { return classify(r.GetTypeUrl(), r.GetNode()) },
		ClassifyDelta: func(r *cache.DeltaRequest) string { return classify(r.GetTypeUrl(), r.GetNode()) },
		Caches:        map[string]cache.Cache{rest: out.rest.cache()}}
	for _, name := range nodes {
		out.endpoints[name] = newLinears([]resource.Type{resource.EndpointType})
		out.all.Caches["endpoints of "+name] = out.endpoints[name].cache()
	}
	return out
}

func (m *mux) cache() cache.Cache { return m.all }

func (m *mux) set(node, version string, said resources) error {
	endpoints, ok := m.endpoints[node]
	if !ok {
		return fmt.Errorf("the mux cache does not know the node %q", node)
	}
	others := resources{}
	for kind, all := range said {
		if kind != resource.EndpointType {
			others[kind] = all
		}
	}
	// Endpoints go after the clusters that they are asked for by.
	if err := m.rest.set(node, version, others); err != nil {
		return err
	}
	return endpoints.set(node, version, said)
}
