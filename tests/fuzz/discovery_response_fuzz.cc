// Any bytes as a DiscoveryResponse: what our reader takes, protobuf's takes too and sees the same
// number of resources in; each resource becomes a document or an error, and nothing crashes or runs
// away.  Also as the bytes of a gRPC stream, cut in two ways.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "proxy/config/node.h"
#include "proxy/config/yaml_print.h"
#include "proxy/http/grpc_frames.h"
#include "xds/discovery_message.h"
#include "xds/reflect.h"

using namespace pillion;

namespace {

void check_resource(xds::ResourceType type, const xds::Resource& resource) {
  config::Errors errors(config::UnknownFields::kCount);
  const config::DocumentPtr document =
      xds::reflect(xds::message_of(type), resource.bytes, "fuzz", errors);
  if (document == nullptr && errors.ok()) std::abort();  // refused without a reason
  (void)errors.to_string();
  if (document != nullptr) (void)config::print_yaml(*document);
}

size_t messages(std::string_view bytes, size_t piece) {
  http::GrpcFrames frames(1 << 16);
  size_t count = 0;
  while (!bytes.empty()) {
    const std::string_view now = bytes.substr(0, piece);
    if (frames.feed(now, [&count](std::string_view) { return ++count, true; }) != nullptr) break;
    bytes.remove_prefix(now.size());
  }
  return count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (messages(bytes, 1) != messages(bytes, 7)) std::abort();
  const auto decoded = xds::decode_response(bytes);
  if (!decoded) {
    if (decoded.error().empty()) std::abort();
    return 0;
  }
  if (!decoded->wrong.empty() && !decoded->resources.empty()) std::abort();
  for (const xds::Resource& resource : decoded->resources) check_resource(decoded->type, resource);
  return 0;
}
