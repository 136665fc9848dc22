// The state of the world (reference/envoy.md, 4, first column of the table).
#include "xds/subscription.h"

namespace pillion::xds {
namespace {

// The wildcard by its name, for where the empty list means none.
const std::set<std::string> kStar = {"*"};

}  // namespace

// Nonces die with their stream; the version and the names stay, and begin the next one.
void SotwSubscription::begin_stream() {
  nonce_.clear();
  has_spoken_ = said_names_ = false;
  is_news_ = true;
}

// Names that were never asked for are not asked for by an empty list, which would mean all.
bool SotwSubscription::has_news() {
  return is_news_ && (is_wildcard_ || !names_.empty() || said_names_);
}

// An ACK has the version that was just accepted, a NACK and all others the one before; all have the
// newest nonce, or the server takes them for late ones and drops them.
std::string SotwSubscription::next_request(std::string_view node,
                                           std::optional<std::string_view> answer) {
  Request request;
  request.type = type_;
  request.node = node;
  request.version = version_;
  request.nonce = nonce_;
  request.error = answer.value_or(std::string_view());
  if (!is_wildcard_) request.names = &names_;
  if (is_wildcard_ && said_names_) request.names = &kStar;
  said_names_ |= !names_.empty();
  has_spoken_ = true;
  is_news_ = false;
  return encode_request(request);
}

bool SotwSubscription::holds(const Response& response, const Resource&) const {
  return response.version == version_;
}

void SotwSubscription::begin_response(const Response&) {}
void SotwSubscription::keep(const std::set<std::string>*) {}

// What is held is no version of the server's any more: without one it will say all of it again.
void SotwSubscription::expire(const std::set<std::string>&) { version_.clear(); }

}  // namespace pillion::xds
