#pragma once
// TransportLabels: what an endpoint says of the transport socket that it wants
// (filter_metadata["envoy.transport_socket_match"] of config.endpoint.v3.LbEndpoint and of its
// LocalityLbEndpoints).
//
// Immutable; shared by all endpoints of the process that say the same, so that equal labels are the
// same object.  Made by parsers, on the control and the builder thread.
//
// A value is kept as JSON, in the one form that equal values have: keys of objects in order,
// numbers as doubles are.  Envoy compares values of google.protobuf.Struct alike.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/shared_value.h"
#include "proxy/config/node.h"

namespace pillion::upstream {

// The namespace in the metadata.
inline constexpr std::string_view kTransportLabels = "envoy.transport_socket_match";
// That of balancing within subsets, which clusters cannot have.
inline constexpr std::string_view kSubsetLabels = "envoy.lb";

// Keys and values, in the order of the keys, each of which is there once.
using LabelSet = std::vector<std::pair<std::string, std::string>>;

struct TransportLabels {
  LabelSet own;          // of the endpoint
  LabelSet of_locality;  // count where no match wants those of the endpoint
  friend bool operator==(const TransportLabels&, const TransportLabels&) = default;
};

size_t value_hash(const TransportLabels& labels) noexcept;

using TransportLabelsPtr = SharedValue<TransportLabels>;

// Null if both are empty.  Any thread.
TransportLabelsPtr make_transport_labels(LabelSet own, LabelSet of_locality);

// Of a google.protobuf.Struct.
LabelSet parse_labels(const config::Node& fields);

// A value as LabelSet has it.
std::string label_text(std::string_view value);
std::string label_text(double value);

// Has `labels` all that is `wanted`?
bool contains(const LabelSet& labels, const LabelSet& wanted) noexcept;

}  // namespace pillion::upstream
