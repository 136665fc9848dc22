#include "xds/file_response.h"

#include <unordered_set>
#include <utility>

#include "proxy/base/file.h"
#include "proxy/base/str.h"
#include "proxy/config/loader.h"
#include "proxy/config/node.h"
#include "proxy/config/suggest.h"
#include "xds/value_json.h"

namespace pillion::xds {
namespace {

using config::Node;

constexpr std::string_view kWrapper = "envoy.service.discovery.v3.Resource";
// Nothing of a control plane is as long (AdsOptions::max_message_bytes).
constexpr size_t kMaxBytes = size_t{64} << 20;

std::string_view name_field(ResourceType type) {
  return type == ResourceType::kEndpoints ? "cluster_name" : "name";
}

// A Resource around it is looked through.
void take(Response& out, const Node& item, const config::DocumentPtr& document) {
  auto [found, node] = item.typed_config();
  Resource resource;
  if (found == kWrapper) {
    resource.version = node["version"].as_string_or("");
    node.ignore({"name", "aliases"});  // the resource has a name of its own
    node.unsupported({"ttl", "cache_control", "resource_name", "metadata"}, "a file does not age");
    const Node inner = node.required("resource");
    node.reject_unknown_keys();
    if (inner.is_missing()) return;
    const config::TypedConfig unwrapped = inner.typed_config();
    found = unwrapped.type;
    node = unwrapped.node;
  }
  if (found.empty()) return;
  if (found != message_of(out.type)) {
    return node.error(
        str("expected ", message_of(out.type), ", got \"", config::printable(found), '"'));
  }
  resource.name = node.required(name_field(out.type)).as_string_or("");
  resource.document = document;
  resource.value = node.value();
  append_json(resource.bytes, *node.value());
  out.resources.push_back(std::move(resource));
}

void refuse_twins(const Response& response, config::Errors& errors) {
  std::unordered_set<std::string_view> names;
  for (const Resource& resource : response.resources) {
    if (resource.name.empty() || names.insert(resource.name).second) continue;
    Node(resource.value, &errors)[name_field(response.type)].error(
        str("there is another \"", config::printable(resource.name), '"'));
  }
}

Response read_text(const std::string& path, ResourceType type, std::string_view text,
                   const std::stop_token& stop) {
  Response out;
  out.type = type;
  config::Errors errors;
  // What programs write as JSON is one line.
  config::LoadLimits limits;
  limits.max_line_bytes = kMaxBytes;
  const config::DocumentPtr document = config::load_text(text, path, errors, limits);
  if (document != nullptr) {
    const Node root = document->root(errors);
    out.version = root["version_info"].as_string_or("");
    for (const Node item : root["resources"].items()) {
      if (stop.stop_requested()) return out;
      take(out, item, document);
    }
    root.ignore({"type_url", "nonce", "canary", "control_plane"});  // of streams
    root.reject_unknown_keys();
    refuse_twins(out, errors);
  }
  if (errors.ok()) return out;
  out.resources.clear();
  out.wrong = errors.to_string();
  return out;
}

Response read_encoded(const std::string& path, ResourceType type, std::string_view bytes) {
  Result<Response> decoded = decode_response(bytes);
  Response out;
  out.type = type;
  if (!decoded) {
    out.wrong = str(path, ": ", decoded.error(), '\n');
  } else if (decoded->type != type) {
    out.wrong =
        str(path, ": expected ", message_of(type), ", got ", message_of(decoded->type), '\n');
  } else {
    return std::move(*decoded);
  }
  return out;
}

}  // namespace

Result<Response> read_response(const std::string& path, ResourceType type,
                               const std::stop_token& stop) {
  const Result<std::string> text = read_regular_file(path, kMaxBytes);
  if (!text) return Error{str(path, ": ", text.error())};
  if (path.ends_with(".pb")) return read_encoded(path, type, *text);
  if (!path.ends_with(".pb_text")) return read_text(path, type, *text, stop);
  Response out;
  out.type = type;
  out.wrong = str(path, ": the text form of protobuf is not read: use YAML, JSON or .pb\n");
  return out;
}

}  // namespace pillion::xds
