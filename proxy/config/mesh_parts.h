#pragma once
// What the files of the short language's parser share (mesh.cc and mesh_*.cc).
// As everywhere in config: what is wrong is reported at its place, and a default goes on.

#include <initializer_list>
#include <span>
#include <string_view>

#include "proxy/config/mesh.h"

namespace pillion::config {

inline constexpr std::string_view kSpiffeScheme = "spiffe://";

inline constexpr std::string_view kLater = "comes with a later version of Pillion";

// Refuses parts of the language that this version does not have, by name.
void refuse_later(const Node& node, std::initializer_list<std::string_view> keys);

// One of a few words.  Those of `later` are known, and refused.
struct Word {
  std::string_view text;
  int value;
};
int choose_value(const Node& node, int fallback, std::span<const Word> words,
                 std::initializer_list<std::string_view> later);
template <typename E>
E choose(const Node& node, E fallback, std::span<const Word> words,
         std::initializer_list<std::string_view> later = {}) {
  return static_cast<E>(choose_value(node, static_cast<int>(fallback), words, later));
}

// auto, http1 or http2.
ServiceProtocol parse_protocol(const Node& node);

// May the fields of `node` be asked for?  If not, that is reported with an example.
bool is_section(const Node& node, std::string_view example);

AddressText address_or(const Node& node, const char* fallback);
// An address to listen on or to connect to without DNS.
AddressText literal_address_or(const Node& node, const char* fallback, uint16_t min_port = 0);

// workload.certificates; the rest of `out` is read already.
void parse_certificates(const Node& node, Workload& out);
Result<AddressText> parse_spiffe_endpoint(std::string_view text);
// Is nothing missing of what its identity comes from?
bool has_whole_identity(const Workload& workload);

Tracing parse_mesh_tracing(const Node& node);
// `slashes`: what becomes of escaped ones, and so of the paths that can match.
std::vector<AuthorizeRule> parse_authorize(const Node& node, SlashEscapes slashes);
Service parse_service(std::string_view name, const Node& node);

// What concerns more than one part: identities, hosts with two owners, loops.
void check_mesh(const Mesh& mesh);
// Of it: rules that never match, and principals that nobody proves to be.
void check_authorize(const Mesh& mesh);
// What is wrong with an entry of `from`; empty if nothing is.
std::string_view fault_of_identity(std::string_view text);

}  // namespace pillion::config
