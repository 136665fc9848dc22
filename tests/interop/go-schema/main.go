// Holds xds/proto against the public API as go-control-plane has it: each message, field and enum value
// of ours must be there with the same name, number, type, cardinality and oneof, and no field of the
// API's may be missing.  pillion.Refused stands for any message.
//
// Argument: the descriptor set of the build.  Each difference is a line; the last line is what was
// looked at.
package main

import (
	"fmt"
	"os"

	_ "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/fault/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/buffer/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_http1_bridge/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_stats/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_web/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/on_demand/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_src/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/req_without_query/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/http/header_formatters/preserve_case/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/http/original_ip_detection/xff/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/cluster_provided/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/common/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/least_request/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/maglev/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/random/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/ring_hash/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/round_robin/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/ssl/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/input_matchers/ip/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/cares/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/rbac/principals/mtls_authenticated/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/request_id/uuid/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/priority/previous_priorities/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/tracers/opentelemetry/samplers/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/load_stats/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/type/http/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/type/metadata/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

var messages, fields int

func find[T protoreflect.Descriptor](name string) (T, bool) {
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		fmt.Println(name, "is not in the API")
		var none T
		return none, false
	}
	return found.(T), true
}

func checkEnum(scope string, ours *descriptorpb.EnumDescriptorProto) {
	name := scope + "." + ours.GetName()
	theirs, ok := find[protoreflect.EnumDescriptor](name)
	if !ok {
		return
	}
	for _, value := range ours.Value {
		their := theirs.Values().ByNumber(protoreflect.EnumNumber(value.GetNumber()))
		if their == nil || string(their.Name()) != value.GetName() {
			fmt.Println(name, value.GetName(), "is another value in the API")
		}
	}
	if theirs.Values().Len() != len(ours.Value) {
		fmt.Println(name, "lacks values")
	}
}

func typeName(field protoreflect.FieldDescriptor) string {
	if message := field.Message(); message != nil {
		return "." + string(message.FullName())
	}
	if enum := field.Enum(); enum != nil {
		return "." + string(enum.FullName())
	}
	return ""
}

func oneofOf(message *descriptorpb.DescriptorProto, field *descriptorpb.FieldDescriptorProto) string {
	if field.OneofIndex == nil || field.GetProto3Optional() {
		return ""
	}
	return message.OneofDecl[field.GetOneofIndex()].GetName()
}

func checkField(name string, message *descriptorpb.DescriptorProto, ours *descriptorpb.FieldDescriptorProto,
	theirs protoreflect.FieldDescriptor) {
	fields++
	oneof := ""
	if their := theirs.ContainingOneof(); their != nil && !their.IsSynthetic() {
		oneof = string(their.Name())
	}
	isList := ours.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED
	switch {
	case string(theirs.Name()) != ours.GetName():
		fmt.Println(name, "is", theirs.Name(), "in the API")
	case isList != (theirs.Cardinality() == protoreflect.Repeated):
		fmt.Println(name, "is a list in one of both")
	case int(theirs.Kind()) != int(ours.GetType()):
		fmt.Println(name, "is of kind", theirs.Kind(), "in the API")
	case ours.GetTypeName() != ".pillion.Refused" && ours.GetTypeName() != typeName(theirs):
		fmt.Println(name, "is of type", typeName(theirs), "in the API")
	case oneof != oneofOf(message, ours):
		fmt.Println(name, "belongs to another oneof in the API")
	}
}

func checkMessage(scope string, ours *descriptorpb.DescriptorProto) {
	if ours.GetOptions().GetMapEntry() {
		return
	}
	name := scope + "." + ours.GetName()
	theirs, ok := find[protoreflect.MessageDescriptor](name)
	if !ok {
		return
	}
	messages++
	known := map[protoreflect.FieldNumber]bool{}
	for _, field := range ours.Field {
		number := protoreflect.FieldNumber(field.GetNumber())
		known[number] = true
		if their := theirs.Fields().ByNumber(number); their != nil {
			checkField(name+"."+field.GetName(), ours, field, their)
		} else {
			fmt.Println(name+"."+field.GetName(), "is not in the API")
		}
	}
	for i := 0; i < theirs.Fields().Len(); i++ {
		if field := theirs.Fields().Get(i); !known[field.Number()] {
			fmt.Println(name, "lacks", field.Name(), field.Number())
		}
	}
	for _, nested := range ours.NestedType {
		checkMessage(name, nested)
	}
	for _, enum := range ours.EnumType {
		checkEnum(name, enum)
	}
}

func main() {
	var set descriptorpb.FileDescriptorSet
	bytes, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = proto.Unmarshal(bytes, &set)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, file := range set.File {
		// protobuf's own, ours, and what go-control-plane has elsewhere.
		switch file.GetPackage() {
		case "google.protobuf", "pillion", "udpa.type.v1":
			continue
		}
		for _, message := range file.MessageType {
			checkMessage(file.GetPackage(), message)
		}
		for _, enum := range file.EnumType {
			checkEnum(file.GetPackage(), enum)
		}
	}
	fmt.Println("looked at", messages, "messages", fields, "fields")
}
