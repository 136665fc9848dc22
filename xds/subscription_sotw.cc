// The state of the world (reference/envoy.md, 4, first column of the table).
#include <algorithm>
#include <iterator>
#include <utility>

#include "xds/subscription.h"

namespace pillion::xds {
namespace {

// The wildcard by its name, for where the empty list means none.
const std::set<std::string> kStar = {"*"};

}  // namespace

// Nonces die with their stream; the version and the names stay, and begin the next one.
void SotwSubscription::begin_stream() {
  nonce_.clear();
  has_spoken_ = said_names_ = said_all_ = false;
  dropped_.clear();
  again_.clear();
  is_news_ = true;
}

void SotwSubscription::interest_changed(const std::set<std::string>& before) {
  is_news_ = true;
  for (const std::string& name : before)
    if (!names_.contains(name)) name_dropped(name);
  for (const std::string& name : names_)
    if (!before.contains(name)) name_added(name);
}

void SotwSubscription::name_added(const std::string& name) {
  is_news_ = true;
  if (dropped_.erase(name) != 0) again_.insert(name);
}

void SotwSubscription::name_dropped(const std::string& name) {
  is_news_ = true;
  again_.erase(name);
  if (has_spoken_) dropped_.insert(name);
}

// Names that were never asked for are not asked for by an empty list, which would mean all.
bool SotwSubscription::has_news() {
  return is_news_ && (is_wildcard_ || !names_.empty() || said_names_ || said_all_);
}

// An ACK has the version that was just accepted, a NACK and all others the one before; all have the
// newest nonce, or the server takes them for late ones and drops them.
//
// A name that was dropped and is wanted again before anybody was told would be no news to a server
// that has said it already, and what it said is forgotten here.  So one request leaves it out, and
// the next one, which is due at once, names it.
//
// All that was asked for by an empty list is not asked for any more by a list that is empty again:
// the wildcard gets its name first, and the next request takes it back.
std::string SotwSubscription::next_request(std::string_view node, const Reply* reply) {
  Request request;
  request.type = type_;
  request.node = node;
  request.version = version_;
  request.nonce = nonce_;
  if (reply != nullptr) request.error = reply->error;
  std::set<std::string> rest;
  if (!again_.empty()) std::ranges::set_difference(names_, again_, std::inserter(rest, rest.end()));
  const std::set<std::string>& names = again_.empty() ? names_ : rest;
  const bool names_all = !is_wildcard_ && names_.empty() && said_all_ && !said_names_;
  if (!is_wildcard_) request.names = &names;
  if (names_all || (is_wildcard_ && said_names_)) request.names = &kStar;
  const std::string bytes = encode_request(request);
  said_all_ |= is_wildcard_ && !said_names_;
  said_names_ |= names_all || !names.empty();
  has_spoken_ = true;
  is_news_ = names_all || (!is_wildcard_ && !again_.empty());
  dropped_.clear();
  again_.clear();
  return bytes;
}

bool SotwSubscription::holds(const Response& response, const Resource&) const {
  return response.version == version_;
}

void SotwSubscription::begin_response(const Response& response) { nonce_ = response.nonce; }
void SotwSubscription::keep(const std::set<std::string>*) {}

// What is held is no version of the server's any more: without one it will say all of it again.
void SotwSubscription::expire(const std::set<std::string>&) { version_.clear(); }

}  // namespace pillion::xds
