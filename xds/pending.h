#pragma once
// Pending: the responses of one type that came while an earlier one is dealt with, as one.
//
// A member of an AdsClient's lane: add() each as it comes, take() all of them when it is their
// turn. None of them was looked at, so that nothing is lost by looking at the newest of each name
// alone:
//
//   state of the world   CDS, LDS and SRDS say all there is: the newest counts, the others have no
//                        effect and no answer, as their nonces are stale (reference/envoy.md, 4).
//                        Other types say parts: the newest of each name counts, under the newest
//                        version and nonce.
//   delta                the newest of each name counts, be it a resource or its end; and each
//                        nonce is answered, as there are servers that keep what they said until
//                        then
//
// A heartbeat renews what waits, or waits itself.
//
// Memory: one resource, removal or error for each name; by delta a nonce and the names of each
// response.  bytes() says how much; whoever reads stops at a limit.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "xds/discovery_message.h"

namespace pillion::xds {

// One response, by what it is answered.
struct Part {
  std::string nonce;
  std::string wrong;               // not empty: why all of it is refused
  std::vector<std::string> names;  // of its resources and removals; of an only part empty
};

// What is said of one nonce; `error` is empty for an ACK.
struct Reply {
  std::string nonce;
  std::string error;
};

class Pending {
 public:
  // Sound ones and such as are `wrong` do not mix.
  explicit Pending(Response&& first);
  // How many responses will have no answer because of it.
  uint64_t add(Response&& next);
  [[nodiscard]] size_t bytes() const noexcept { return bytes_; }

  // Ends it.
  [[nodiscard]] Response take();
  [[nodiscard]] std::vector<Part> take_parts();

 private:
  void begin_merging();
  void replace(Response&& next);
  void merge(Response&& next);
  void put(Resource&& resource);
  void put_removed(std::string&& name);
  void put_error(ResourceError&& error);
  void drop_resource(std::string_view name);
  void note_part(const Response& response);

  Response response_;
  std::vector<Part> parts_;
  size_t bytes_ = 0;
  // Once a second one has come; the lists of response_ are empty then.
  bool is_merged_ = false;
  std::map<std::string, Resource, std::less<>> resources_;
  std::set<std::string, std::less<>> removed_;
  std::map<std::string, std::string, std::less<>> errors_;
};

// What becomes of each part of a response.  `error`: why it is refused, a line a problem; empty:
// it was accepted.  `refused`: all but these names were taken; null: nothing was.  A refusal names
// only what its own response had.
std::vector<Reply> replies_to(ResourceType type, std::vector<Part>&& parts,
                              const std::string& error, const std::set<std::string>* refused);

}  // namespace pillion::xds
